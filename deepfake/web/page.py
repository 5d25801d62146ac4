"""The page itself, made of Gradio's parts; asks nothing of other servers."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deepfake.aggregation import RULES
from deepfake.cli.console import seconds
from deepfake.errors import DeepfakeError
from deepfake.report.languages import LANGUAGES, RIGHT_TO_LEFT, translator
from deepfake.report.page import fragment
from deepfake.web.jobs import Jobs, Judged, Wish
from preprocessing.video.files import IMAGE_SUFFIXES

OWN_RULE = "as the checkpoint says"
SAMPLES = sorted((Path(__file__).parents[2] / "samples").glob("*.mp4"))
ABOUT = (
    "A verdict is a statistical statement of one model, not evidence by itself. Clips are judged "
    "on this computer and removed after 15 minutes; until then they can be judged in other ways."
)
JS = "(...all) => (window.verdict.scrollIntoView({block: 'nearest'}), all)"  # to the progress
SHOWN = 4  # clips with a player
WAITING = 16  # jobs in the queue; more are told to come later
CHECK_S, CACHE_S = 300, 900  # how often Gradio looks for old files, and how old they get
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' blob:; "
    "font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; frame-ancestors 'none'"
)
CSS = Path(__file__).with_suffix(".css")
Answer = tuple[str, Any, str, Any, Any, list[str]]  # headlines, choice, report, two files, ids


class ContentPolicy:
    """Forbid the browser, on every answer, to ask anything of another server."""

    def __init__(self, app: Any) -> None:  # noqa: ANN401  an ASGI application
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401
        """Pass a request on and add the headers to its answer."""

        async def send_with_policy(message: Any) -> None:  # noqa: ANN401
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message.get("headers", []),
                    (b"content-security-policy", POLICY.encode()),
                    (b"referrer-policy", b"no-referrer"),
                    (b"x-content-type-options", b"nosniff"),
                ]
            await send(message)

        await self.app(scope, receive, send_with_policy)


def framed(page: str) -> str:
    """Return a report in a frame as high as it is, in which no script runs."""
    return fragment("framed", page)


def alert(message: str) -> str:
    """Return an error as HTML."""
    return fragment("alert", message)


def preview(files: Sequence[str] | None) -> str:
    """Return players for the clips that were dropped, as HTML."""
    some = list(files or ())[:SHOWN]
    images = [file for file in some if Path(file).suffix.lower() in IMAGE_SUFFIXES]
    return fragment("preview", some, images) if some else ""


def build(jobs: Jobs, checkpoints: Sequence[str], words_in: str = "en") -> Any:  # noqa: ANN401
    """Return the page in one of `LANGUAGES`, on which jobs judge clips by a checkpoint."""
    say = translator(words_in)
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["GRADIO_TEMP_DIR"] = str(jobs.folder)
    import gradio as gr

    def show(found: Sequence[Judged], errors: Sequence[str], chosen: str | None = None) -> Answer:
        """Return all parts of an answer; those of an earlier one go."""
        one = next((f for f in found if f.id == chosen), found[0] if found else None)
        files = (None, None) if one is None else (str(one.report), str(one.verdict_json))
        names = [(f"{k + 1}. {f.name}", f.id) for k, f in enumerate(found)]
        return (
            "".join([*(f.headline for f in found), *map(alert, dict.fromkeys(errors))]),
            gr.Radio(choices=names, value=None if one is None else one.id, visible=len(found) > 1),
            "" if one is None else framed(one.page),
            gr.DownloadButton(value=files[0], interactive=one is not None),
            gr.DownloadButton(value=files[1], interactive=one is not None),
            [f.id for f in found],
        )

    def known(ids: Sequence[str] | None) -> list[Judged]:
        return [found for name in ids or () if (found := jobs.find(str(name)))]

    def judge(
        clips: list[str] | None,
        checkpoint: str | list[str],
        rule: str,
        language: str = words_in,
        start: str = "",
        end: str = "",
        frames: float | None = None,
        person: float | None = None,
        progress: Any = gr.Progress(),  # noqa: ANN401, B008
    ) -> Answer:
        found: list[Judged] = []
        errors: list[str] = [] if clips else [say("Drop a clip first.")]

        def tell(part: float, step: str) -> None:
            done, count = len(found) + len(errors), len(clips or ())
            which = f" ({done + 1}/{count})" if count > 1 else ""
            progress((done + part) / count, say(step) + which)

        try:
            wish = Wish(
                (checkpoint,) if isinstance(checkpoint, str) else tuple(checkpoint),
                None if rule == OWN_RULE else rule,
                seconds(start or "0"),
                seconds(end) if end else None,
                round(frames) if frames else None,
                round(person) if person else None,
                language,
            )
        except argparse.ArgumentTypeError as error:
            return show([], [say(str(error))])
        for clip in clips or ():
            try:
                found.append(jobs.judge(Path(clip), wish, tell))
            except DeepfakeError as error:
                errors.append(say(str(error)))
        return show(found, errors)

    with gr.Blocks(
        title="deepfake", analytics_enabled=False, delete_cache=(CHECK_S, CACHE_S)
    ) as page:
        gr.Markdown(f"# {say('Is the face in this clip real?')}\n{say(ABOUT)}")
        with gr.Row():
            with gr.Column():
                label = say("Videos or photographs")
                clip = gr.File(label=label, file_count="multiple", elem_id="clip")
                shown = gr.HTML()
            with gr.Column():
                several = len(checkpoints) > 1
                what = "Checkpoints; several judge side by side" if several else "Checkpoint"
                checkpoint = gr.Dropdown(
                    list(checkpoints),
                    value=[checkpoints[0]] if several else checkpoints[0],
                    multiselect=several,
                    label=say(what),
                )
                rule = gr.Dropdown(
                    [(say(OWN_RULE), OWN_RULE), *RULES],
                    value=OWN_RULE,
                    label=say("Rule from faces to a verdict"),
                )
                with gr.Accordion(say("A part of the clip"), open=False):
                    with gr.Row():
                        start = gr.Textbox(label=say("From"), placeholder="0:00")
                        end = gr.Textbox(label=say("To"), placeholder=say("the end"))
                    with gr.Row():
                        frames = gr.Number(0, label=say("Frames (0: as usual)"), precision=0)
                        person = gr.Number(0, label=say("Only person (0: all)"), precision=0)
                named = [(name, code) for code, name in LANGUAGES.items()]
                language = gr.Dropdown(named, value=words_in, label=say("Language of the answer"))
                button = gr.Button(say("Judge"), variant="primary", elem_id="judge")
        with gr.Row():
            tries = [(path, gr.Button(say(f"Try {path.name}"), size="sm")) for path in SAMPLES]
        verdict = gr.HTML(elem_id="verdict", min_height=140)
        which = gr.Radio([], label=say("Report of"), visible=False, elem_id="which")
        with gr.Row():
            report_file = gr.DownloadButton(
                say("Download the report"), elem_id="report", interactive=False
            )
            json_file = gr.DownloadButton(
                say("Download the verdict as JSON"), elem_id="json", interactive=False
            )
        report = gr.HTML()
        kept = gr.BrowserState([], storage_key="deepfake-results")
        outputs = [verdict, which, report, report_file, json_file, kept]
        way = f"lang: '{words_in}', dir: '{'rtl' if words_in in RIGHT_TO_LEFT else 'ltr'}'"
        quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        judging: dict[str, Any] = {"concurrency_id": "judge", "show_progress_on": verdict, "js": JS}
        usual = [checkpoint, rule, language]
        asked = [clip, *usual, start, end, frames, person]
        clip.change(preview, clip, shown, **quiet)
        button.click(judge, asked, outputs, api_name="judge", **judging)
        which.input(lambda ids, one: show(known(ids), (), one), [kept, which], outputs, **quiet)
        page.load(None, None, None, js=f"() => Object.assign(document.documentElement, {{{way}}})")
        page.load(lambda ids: show(known(ids), ()), kept, outputs, **quiet)
        for path, sample in tries:
            given = [gr.State([str(path)]), *usual]
            sample.click(judge, given, outputs, api_name=f"judge_{path.stem}", **judging)
    page.queue(max_size=WAITING, default_concurrency_limit=1)
    return page


def launch(page: Any, *, host: str, port: int, max_mb: float, block: bool = True) -> str:  # noqa: ANN401
    """Serve what `build` gave until interrupted, or in the background; return its address.

    Port 0 takes a free one; uploads may have `max_mb` megabytes.
    """
    import gradio as gr
    from starlette.middleware import Middleware

    _, address, _ = page.launch(
        server_name=host,
        server_port=port or None,
        max_file_size=round(max_mb * 1e6),
        theme=gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"]),
        css=CSS.read_text(encoding="utf-8"),
        app_kwargs={"middleware": [Middleware(ContentPolicy)]},
        footer_links=["api"],
        share=False,
        ssr_mode=False,
        enable_monitoring=False,
        quiet=True,
        i18n=gr.I18n(en={"common.complete": "Done"}),  # Gradio lacks this text of its own
        prevent_thread_lock=not block,
    )
    return str(address)
