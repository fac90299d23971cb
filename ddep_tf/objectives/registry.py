"""The objective of each stage."""

from ddep_tf import spec_base
from ddep_tf.objectives import base, classify, denoise, segment

OBJECTIVES: dict[str, type[base.Objective]] = {
    objective.stage: objective
    for objective in (classify.Classify, denoise.Denoise, segment.Segment)}


def objective_of(stage: str) -> type[base.Objective]:
    """Returns the Objective class of a stage. UserError if there is none."""
    spec_base.require(stage, OBJECTIVES, 'stage')
    return OBJECTIVES[stage]
