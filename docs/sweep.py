"""Search for settings with Optuna: learning rate, weight decay and label smoothing.

    pip install -e '.[sweep]'
    python docs/sweep.py 20 --config configs/cpu_small.yaml --data.root data/faces

The first argument is the number of trials; the others are those of `python -m deepfake.train`. The
trials are judged by the validation videos; none of them sees the test videos. They are kept in
sweep.db, and the same command adds more of them.
"""

import sys

import optuna

from deepfake.train import config_folder
from deepfake.training import train
from deepfake.training.runs import final_measures

SETTINGS = "--model.optimizer.init_args."


def judge(trial: optuna.Trial, given: list[str]) -> float:
    """Train once; return the best AUROC of the validation videos."""
    rate = trial.suggest_float("lr", 1e-5, 1e-2, log=True)
    decay = trial.suggest_float("weight_decay", 1e-4, 0.2, log=True)
    smoothing = trial.suggest_float("label_smoothing", 0.0, 0.2)
    run = train(
        [
            f"--config={config_folder() / 'default.yaml'}",
            *given,
            f"{SETTINGS}lr={rate}",
            f"{SETTINGS}weight_decay={decay}",
            f"--model.criterion.init_args.label_smoothing={smoothing}",
            "--test=false",
        ]
    )
    trial.set_user_attr("run", str(run))
    _, val, _ = final_measures(run)
    return val["video_auroc"]


def main(arguments: list[str]) -> None:
    """Run the trials and print the best one."""
    study = optuna.create_study(
        study_name="deepfake",
        storage="sqlite:///sweep.db",
        load_if_exists=True,
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=0),
    )
    trials, *given = arguments
    study.optimize(lambda trial: judge(trial, given), n_trials=int(trials))
    best = study.best_trial
    print(f"best of {len(study.trials)}: {best.value:.4f} {best.params} {best.user_attrs['run']}")  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1:])
