"""Models on the Hugging Face Hub: up and down go only files that are read without running code."""

from dataclasses import replace
from pathlib import Path

from deepfake.checkpoints.loading import Checkpoint, load
from deepfake.errors import CheckpointError, DeepfakeError, require

HUB = ("huggingface_hub", "hub", "The Hub")  # as `require` takes it
NAMES = {".onnx": "model.onnx", ".safetensors": "model.safetensors"}  # looked for in this order


def push(file: Path, repo: str) -> str:
    """Upload an exported model; return the commit, which `load_pretrained` takes as a revision.

    The model becomes `model.onnx` or `model.safetensors`. A repository that does not exist is made,
    as a private one.

    Args:
        file: What `deepfake.checkpoints.export.export` wrote as ONNX or safetensors.
        repo: Such as "user/name".

    Raises:
        CheckpointError: The file is of another kind, or not a model with its settings.
        DeepfakeError: huggingface_hub is not installed, or the Hub refuses or does not answer.
    """
    check_pushable(file)
    load(file)
    require(*HUB)
    import huggingface_hub

    hub = huggingface_hub.HfApi(library_name="deepfake")
    try:
        hub.create_repo(repo, private=True, exist_ok=True)
        commit = hub.upload_file(
            path_or_fileobj=file,
            path_in_repo=NAMES[file.suffix],
            repo_id=repo,
            commit_message=f"Upload {NAMES[file.suffix]}",
        )
    except _errors() as error:
        raise DeepfakeError(
            f"{file} could not be pushed to {repo}: {_reason(error)}. Log in with `hf auth login`, "
            "and look whether you may write there."
        ) from error
    return str(commit.oid)


def check_pushable(file: Path) -> None:
    """See that a file is of a kind that may be pushed.

    Raises:
        CheckpointError: Loading it could run code, or needs more than one file.
    """
    if file.suffix not in NAMES:
        raise CheckpointError(
            f"{file}: only {' and '.join(NAMES)} are pushed, whose loading runs no code. "
            "Export with --format onnx or --format safetensors."
        )


def load_pretrained(repo: str, *, revision: str | None = None, device: str = "cpu") -> Checkpoint:
    """Download a model, unless it is in the cache, and load it as any other checkpoint.

    Args:
        repo: Such as "user/name".
        revision: A commit, branch or tag. Only a commit stays what it is; None takes the newest.
        device: Of a torch network.

    Raises:
        CheckpointError: The repository holds no such model, or one that cannot be used.
        DeepfakeError: huggingface_hub is not installed, or the Hub refuses or does not answer.
    """
    file = download(repo, revision=revision)
    return replace(load(file, device=device), name=f"{repo}@{file.parent.name[:12]}")


def download(repo: str, *, revision: str | None = None) -> Path:
    """Return the model of a repository as a file in huggingface_hub's cache.

    Its folder is named after the commit.

    Raises:
        CheckpointError: The repository holds no such model.
        DeepfakeError: huggingface_hub is not installed, or the Hub refuses or does not answer.
    """
    require(*HUB)
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    at = repo if revision is None else f"{repo} at {revision}"
    unreachable: Exception | None = None
    for name in NAMES.values():
        try:
            file = hf_hub_download(
                repo,
                name,
                revision=revision,
                library_name="deepfake",
                local_files_only=unreachable is not None,
            )
        except LocalEntryNotFoundError as error:
            unreachable = error
        except EntryNotFoundError:
            pass
        except _errors() as error:
            raise DeepfakeError(f"{at} cannot be had: {_reason(error)}.") from error
        else:
            return Path(file)
    if unreachable is not None:
        raise DeepfakeError(
            f"{at} is not in the cache, and the Hub cannot be reached: "
            f"{_reason(unreachable.__cause__ or unreachable)}. Download it where there is a "
            "network, and give the file with --checkpoint."
        ) from unreachable
    raise CheckpointError(
        f"{at} has no {' or '.join(NAMES.values())}. Make one with "
        "`python -m deepfake.export --format onnx --out model.onnx --push USER/NAME`."
    )


def _errors() -> tuple[type[Exception], ...]:
    """Return what huggingface_hub raises: its own, those of its HTTP library, and wrong names."""
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]

    return (OSError, ValueError, HTTPError)


def _reason(error: BaseException) -> str:
    """Return the first line that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).rstrip(".:")
