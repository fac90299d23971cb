"""Two pictures of a row on top of each other, with a divider between them.

The rows of tiles are the data: without a script they stand alone, and the box
that compares them stays hidden.
"""

from ddep_tf.reports.html_elements import Html, element


def build() -> Html:
    """Returns the box that compares what the rows of the page show."""
    choices = [element('label', text, ' ', element('select'))
               for text in ('Picture', 'Left', 'Right')]
    divider = element('input', type='range', min='0', max='100', value='50',
                      step='1')
    return element(
        'div', element('div', *choices, class_='choices'),
        element('div', class_='stage'),
        element('label', 'Divider', divider, class_='divider'),
        class_='compare', hidden='hidden')


SCRIPT = '''
(() => {
  const box = document.querySelector('.compare');
  const rows = [...document.querySelectorAll('.row')].filter(
      row => row.querySelectorAll('img').length > 1 &&
      row.dataset.group !== undefined);
  if (!box || !rows.length) return;
  const [picture, left, right] = box.querySelectorAll('select');
  const stage = box.querySelector('.stage');
  const range = box.querySelector('input');

  const tiles = () => [...rows[picture.value].querySelectorAll('figure')]
      .filter(tile => tile.querySelector('img'));
  const name = tile => tile.querySelector('figcaption').textContent;
  const split = () => {
    stage.style.setProperty('--at', range.value + '%');
    range.setAttribute('aria-valuetext', range.value + ' %: left of it ' +
        left.selectedOptions[0].text + ', right of it ' +
        right.selectedOptions[0].text);
  };
  const show = () => {
    const found = tiles();
    stage.replaceChildren(...[left, right].map(
        side => found[side.value].querySelector('img').cloneNode()));
    split();
  };
  const fill = (select, found, wanted) => {
    select.replaceChildren(...found.map(
        (tile, place) => new Option(name(tile), place)));
    select.value = Math.min(wanted, found.length - 1);
  };
  const choose = () => {
    const found = tiles();
    const kept = found.length === left.options.length;
    fill(left, found, kept ? left.value : Math.min(2, found.length - 2));
    fill(right, found, kept ? right.value : found.length - 1);
    show();
  };
  picture.append(...rows.map((row, place) => new Option(
      name(row.firstElementChild) + ', ' + row.dataset.group, place)));
  picture.addEventListener('change', choose);
  left.addEventListener('change', show);
  right.addEventListener('change', show);
  range.addEventListener('input', split);
  const drag = event => {
    if (!event.buttons) return;
    const frame = stage.getBoundingClientRect();
    const at = 100 * (event.clientX - frame.left) / frame.width;
    range.value = Math.round(at);
    split();
  };
  stage.addEventListener('pointerdown', drag);
  stage.addEventListener('pointermove', drag);
  picture.value = 0;
  choose();
  box.hidden = false;
})();
'''
