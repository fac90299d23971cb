"""What training leaves of a run, without the training."""

import json
import pathlib

from ddep_tf.runtime import run_folder


class Trainer:
    """Does a job in no time.

    Args:
      score: the val mIoU of a PlannedRun.

    Attributes:
      asked: list of (name, test) of the jobs that were done.
    """

    def __init__(self, score):
        self.score = score
        self.asked = []

    def __call__(self, job):
        planned, actual, test = job.planned, job.actual, job.test
        self.asked.append((actual.name, test))
        val = self.score(actual)
        where = pathlib.Path(job.run_dir)
        run_folder.open_run(where, actual.run, '')
        (where / 'validation.csv').write_text(f'step,val\n5,{val}\n')
        result = {'stage': planned.run.stage, 'steps': 5, 'val': val,
                  'test': val / 2 if test else None, 'images': 20,
                  'test_details': {'iou': [val] * 6, 'pixel_accuracy': val,
                                   'mean_iou': val} if test else None,
                  'seconds': 1.0,
                  'subset_sha256': f'sha{planned.run.seed}', 'commit': 'abc'}
        (where / 'result.json').write_text(json.dumps(result))
        return result
