"""The work that is measured is shared as a user's would be."""

from ddep_tf import configure
from ddep_tf.evaluation import predictor, rounds
from ddep_tf.experiments import generated, workloads


def test_replicas_share_the_images_of_an_evaluation(two, tmp_path,
                                                    monkeypatch):
    run, _ = configure.load_run('segment', ['model/tiny.gin'], [
        *generated.bindings(5), 'RunSpec.crop_size=(32, 32)',
        'RunSpec.global_batch_size=4', 'RunSpec.steps=1'])
    shared = []
    inputs = rounds.inputs
    monkeypatch.setattr(rounds, 'inputs', lambda spec, plain, groups, *rest: (
        shared.append([len(group.images) for group in groups]),
        inputs(spec, plain, groups, *rest))[1])
    timed = workloads.WORK['evaluate'].time(run, two, tmp_path)
    assert shared == [[2, 2]] and len(timed.seconds) == 1


def test_replicas_share_the_images_of_a_prediction(two, tmp_path, monkeypatch):
    run, _ = configure.load_run('segment', ['model/tiny.gin'], [
        *generated.bindings(5), 'RunSpec.crop_size=(32, 32)',
        'RunSpec.global_batch_size=3', 'RunSpec.steps=1'])
    shared, whole = [], predictor.Predictor.predict
    monkeypatch.setattr(
        predictor.Predictor, 'predict', lambda self, groups: (
            shared.append(len(groups)), whole(self, groups))[1])
    workloads.WORK['predict'].time(run, two, tmp_path)
    assert shared[-2:] == [2, 1]
