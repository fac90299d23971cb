"""The procedural set: fixed pixels, balanced classes, no color shortcut."""

import hashlib

import numpy as np
import pytest
from sklearn import ensemble

from ddep_tf import errors
from ddep_tf.data import shapes
from ddep_tf.evaluation import metrics

pytestmark = pytest.mark.quick

# Published results depend on these pixels: a change needs a new name.
DIGESTS = {
    'segment': (
        '7bcf50ff0256a4091f9c1d6f724e5601'
        '27718cec40337e0204407ce56c60aaec'),
    'classify': (
        'a8fca6def8e8311cb21ccad96c8e1f27'
        '9fc5c888a2e6175bc9dc23062238b6f1')}


def digest(view):
    image, label = shapes.render(view, 'train', 17)
    return hashlib.sha256(
        image.tobytes() + np.asarray(label, np.uint8).tobytes()).hexdigest()


@pytest.mark.parametrize('view', shapes.VIEWS)
def test_pixels_are_fixed(view):
    first = digest(view)
    shapes.render.cache_clear()
    assert digest(view) == first == DIGESTS[view]


def test_segment_view():
    examples = [shapes.render('segment', 'train', i) for i in range(300)]
    masks = np.stack([mask for _, mask in examples])
    images = np.stack([image for image, _ in examples])
    assert images.shape == (300, 64, 64, 3) and images.dtype == np.uint8
    assert masks.shape == (300, 64, 64) and masks.dtype == np.uint8
    shares = np.bincount(masks.ravel(), minlength=6) / masks.size
    assert len(shares) == 6
    assert 0.6 < shares[0] < 0.85 and shares[1:].min() > 0.02


def test_color_alone_does_not_tell_the_classes():
    """Not even to a random forest on the pixels of 100 labeled images."""
    def pixels(split):
        examples = [shapes.render('segment', split, i) for i in range(100)]
        return (np.stack([image for image, _ in examples])[:, ::4, ::4],
                np.stack([mask for _, mask in examples])[:, ::4, ::4])
    images, masks = pixels('train')
    forest = ensemble.RandomForestClassifier(
        20, min_samples_leaf=20, random_state=0, class_weight='balanced')
    forest.fit(images.reshape(-1, 3), masks.ravel())
    images, masks = pixels('val')
    matrix = metrics.confusion_matrix(
        masks.ravel(), forest.predict(images.reshape(-1, 3)), 6)
    assert metrics.mean_iou(matrix) < 0.2


def test_classify_view():
    examples = [shapes.render('classify', 'train', i) for i in range(300)]
    counts = np.bincount([label for _, label in examples], minlength=5)
    assert len(counts) == 5 and counts.min() > 40


def test_splits_share_nothing():
    seen = {shapes.render('segment', split, i)[0].tobytes()
            for split in shapes.LENGTHS for i in range(50)}
    assert len(seen) == 50 * len(shapes.LENGTHS)


def test_refusals():
    with pytest.raises(errors.UserError, match='valid'):
        shapes.length('valid')
    for arguments in (('segment', 'val', 100), ('depth', 'val', 0)):
        with pytest.raises(errors.UserError, match=str(arguments[2])):
            shapes.render(*arguments)
