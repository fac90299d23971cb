"""The work that is measured is shared as a user's would be."""

import dataclasses

from ddep_tf import configure
from ddep_tf.evaluation import predictor, rounds
from ddep_tf.experiments import cost, generated, workloads


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


def test_the_flops_of_an_evaluation_are_those_of_its_tiles():
    run, _ = configure.load_run('segment', ['model/tiny.gin'], [
        *generated.bindings(5), 'RunSpec.crop_size=(144, 144)',
        'RunSpec.global_batch_size=3', 'RunSpec.steps=1',
        'EvalSpec.tile=(64, 64)', 'EvalSpec.overlap=0.33',
        'EvalSpec.scales=(0.7,)', 'EvalSpec.flip=True'])
    of_tile = cost.count(dataclasses.replace(
        run, crop_size=(64, 64))).forward_flops
    # 101 pixels are filled up to 112, which two tiles of 64 do not cover with
    # that overlap.
    assert workloads.WORK['evaluate'].flops(run) == 3 * 2 * 3 * 3 * of_tile
