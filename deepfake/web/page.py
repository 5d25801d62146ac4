"""The page itself, made of Gradio's parts; asks nothing of other servers."""

import html
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deepfake.aggregation import RULES
from deepfake.errors import DeepfakeError
from deepfake.report import words
from deepfake.report.advice import kind, steps
from deepfake.types import Verdict
from deepfake.web.jobs import Jobs

OWN_RULE = "as the checkpoint says"
SAMPLES = Path(__file__).parents[2] / "samples"
WAITING = 16  # jobs in the queue; more are told to come later
CHECK_S, CACHE_S = 300, 1800  # how often Gradio looks for old files, and how old they get
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' blob:; "
    "font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; frame-ancestors 'none'"
)
CSS = """
.verdict { padding: 0.8rem 1rem; border-left: 0.5rem solid #6b7280; font-size: 1.15rem; }
.verdict.fake { border-color: #b91c1c; } .verdict.real { border-color: #15803d; }
.verdict strong { font-size: 1.5rem; display: block; }
iframe.report { width: 100%; height: 75vh; border: 1px solid #9ca3af; background: white; }
"""


Answer = tuple[str, str, Any, Any, None]  # headline, report, its file, JSON file, no clip


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


def headline(verdict: Verdict) -> str:
    """Return a verdict in words, as HTML."""
    said = kind(verdict) if verdict.score is None else f"score {verdict.shown(verdict.score)}"
    title = words.HEADLINES["" if verdict.score is None else verdict.label]
    helps = "".join(f"<li>{html.escape(step)}</li>" for step in steps(verdict) if kind(verdict))
    return (
        f'<div class="verdict {verdict.label}" role="status">'
        f"<strong>{html.escape(title)}</strong>"
        f"{html.escape(Path(verdict.video).name)}: {html.escape(verdict.label)}, {said}; "
        f"{verdict.limits}. {html.escape(verdict.reason)}{helps and f'<ul>{helps}</ul>'}</div>"
    )


def framed(page: str) -> str:
    """Return a report in a frame of its own, which can reach nothing of the page around it."""
    return (
        '<iframe class="report" title="report" sandbox="allow-scripts" '
        f'srcdoc="{html.escape(page, quote=True)}"></iframe>'
    )


def build(jobs: Jobs, checkpoints: Sequence[str]) -> Any:  # noqa: ANN401  gradio is untyped
    """Return the page.

    Args:
        jobs: Judges clips.
        checkpoints: Offered to choose from; the first is chosen.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["GRADIO_TEMP_DIR"] = str(jobs.folder)
    import gradio as gr

    def judge(
        clip: str | None,
        checkpoint: str,
        rule: str,
        progress: Any = gr.Progress(),  # noqa: ANN401, B008
    ) -> Answer:
        if clip is None:
            raise gr.Error("Drop a clip first.", print_exception=False)
        try:
            found = jobs.judge(Path(clip), checkpoint, None if rule == OWN_RULE else rule, progress)
        except DeepfakeError as error:
            raise gr.Error(html.escape(str(error)), duration=None, print_exception=False) from error
        return (
            headline(found.verdict),
            framed(found.page),
            gr.DownloadButton(value=str(found.report), interactive=True),
            gr.DownloadButton(value=str(found.verdict_json), interactive=True),
            None,  # the clip is removed
        )

    def of_sample(path: Path) -> Any:  # noqa: ANN401
        def judge_sample(
            checkpoint: str,
            rule: str,
            progress: Any = gr.Progress(),  # noqa: ANN401, B008
        ) -> Answer:
            return judge(str(path), checkpoint, rule, progress)

        return judge_sample

    with gr.Blocks(
        title="deepfake", analytics_enabled=False, delete_cache=(CHECK_S, CACHE_S)
    ) as page:
        gr.Markdown(
            "# Is the face in this clip real?\nA verdict is a statistical statement of one model, "
            "not evidence by itself. Clips are judged on this computer and removed afterwards."
        )
        with gr.Row():
            clip = gr.File(label="Video or photograph", type="filepath", elem_id="clip")
            with gr.Column():
                checkpoint = gr.Dropdown(
                    list(checkpoints), value=checkpoints[0], label="Checkpoint"
                )
                rule = gr.Dropdown(
                    [OWN_RULE, *RULES], value=OWN_RULE, label="Rule from faces to a verdict"
                )
                button = gr.Button("Judge", variant="primary", elem_id="judge")
        samples = [path for path in sorted(SAMPLES.glob("*.mp4")) if path.is_file()]
        with gr.Row():
            tries = [(path, gr.Button(f"Try {path.name}", size="sm")) for path in samples]
        verdict = gr.HTML(elem_id="verdict", min_height=110)
        with gr.Row():
            report_file = gr.DownloadButton(
                "Download the report", elem_id="report", interactive=False
            )
            json_file = gr.DownloadButton(
                "Download the verdict as JSON", elem_id="json", interactive=False
            )
        report = gr.HTML()
        outputs = [verdict, report, report_file, json_file, clip]
        button.click(
            judge,
            [clip, checkpoint, rule],
            outputs,
            api_name="judge",
            concurrency_id="judge",
            show_progress_on=verdict,
        )
        for path, sample in tries:
            sample.click(
                of_sample(path),
                [checkpoint, rule],
                outputs,
                api_name=f"judge_{path.stem}",
                concurrency_id="judge",
                show_progress_on=verdict,
            )
    page.queue(max_size=WAITING, default_concurrency_limit=1)
    return page


def launch(page: Any, *, host: str, port: int, max_mb: float, block: bool = True) -> str:  # noqa: ANN401
    """Serve the page until interrupted; return its address.

    Args:
        page: What `build` gave.
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.
        max_mb: Largest upload, in megabytes.
        block: Return only when the server ends.
    """
    import gradio as gr
    from starlette.middleware import Middleware

    _, address, _ = page.launch(
        server_name=host,
        server_port=port or None,
        max_file_size=round(max_mb * 1e6),
        theme=gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"]),
        css=CSS,
        app_kwargs={"middleware": [Middleware(ContentPolicy)]},
        footer_links=["api"],
        share=False,
        ssr_mode=False,
        enable_monitoring=False,
        quiet=True,
        prevent_thread_lock=not block,
    )
    return str(address)
