"""The style of all pages, in light and dark, from phones to desks."""

STYLE = '''
:root { color-scheme: light dark; --text: #1b1f24; --page: #fff;
  --soft: #5a6370; --line: #d5dae1; --box: #f5f7f9; --link: #0b57b0; }
@media (prefers-color-scheme: dark) { :root { --text: #e6e9ed;
  --page: #15181c; --soft: #a2abb7; --line: #3a424c; --box: #1f242a;
  --link: #7db7ff; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text);
  font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 72rem; margin: auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .5rem;
  overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .5rem;
  border-bottom: 1px solid var(--line); padding-bottom: .25rem; }
h3 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
p, ul, dl { max-width: 48rem; }
.lines li { overflow-wrap: anywhere; }
dt { font-weight: 600; }
dd { margin: 0 0 .4rem 1.2rem; }
.soft, caption, figcaption { color: var(--soft); font-size: .875rem; }
figcaption { overflow-wrap: anywhere; }
.status { display: inline-block; padding: .15rem .6rem; border-radius: 1rem;
  background: var(--box); border: 1px solid var(--line); }
.partial { border-color: #c77700; border-width: 2px; }
.scroll { overflow-x: auto; margin: .75rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding: .25rem 0; }
th, td { padding: .3rem .75rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
th:first-child, .names th:nth-child(2), .names td:nth-child(2) {
  text-align: left; }
thead th { border-bottom: 2px solid var(--line); font-size: .875rem;
  vertical-align: bottom; }
@media (max-width: 640px) { th, td { padding: .3rem .35rem;
  font-size: .875rem; } thead th { white-space: normal; } }
tbody th { font-weight: 500; }
.name { display: inline-block; width: max-content; max-width: 18rem;
  white-space: normal; overflow-wrap: break-word; text-align: left; }
code, pre { font: .85em/1.45 ui-monospace, monospace; }
code { overflow-wrap: anywhere; }
pre { background: var(--box); padding: .75rem; overflow-x: auto;
  border: 1px solid var(--line); border-radius: .4rem; }
details { margin: .75rem 0; }
summary { cursor: pointer; color: var(--link); }
figure { margin: 0; }
.chart { overflow-x: auto; margin: 1rem 0; }
.chart img { display: block; background: #fff; border-radius: .4rem;
  width: 44rem; max-width: 100%; height: auto; }
.chart .wide { width: auto; max-width: min(100%, var(--natural)); }
@media (max-width: 640px) { .chart .wide { max-width: none;
  width: min(44rem, calc(var(--natural) * .65)); } }
.row { display: grid; gap: .5rem; margin: .5rem 0 1.25rem;
  grid-template-columns: repeat(var(--tiles), minmax(0, 17rem)); }
@media (max-width: 640px) { .row {
  grid-template-columns: repeat(var(--narrow), minmax(0, 1fr)); } }
.row img { display: block; width: 100%; height: auto; border-radius: .25rem; }
.row .pixels { image-rendering: pixelated; }
.mask, .ignored { background: repeating-conic-gradient(#999 0 25%, #ddd 0 50%)
  0 0 / 10px 10px; }
.lost { padding: 1.5rem .5rem; background: var(--box);
  border: 1px dashed var(--line); overflow-wrap: anywhere; }
.legend { display: flex; flex-wrap: wrap; gap: .3rem 1rem; padding: 0;
  list-style: none; max-width: none; }
.legend li { overflow-wrap: anywhere; }
.legend span { display: inline-block; width: 1rem; height: 1rem;
  margin-right: .35rem; border: 1px solid var(--line);
  vertical-align: -.15rem; border-radius: .2rem; }
.tables { display: grid; gap: 0 2.5rem; justify-content: start;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), auto)); }
.tables:has(.upright) { grid-template-columns: minmax(0, 1fr); }
.upright thead .name { writing-mode: vertical-rl; width: auto;
  max-height: 12rem; transform: rotate(180deg); overflow-wrap: anywhere; }
.matrix .right, .matrix .wrong { min-width: 3.5rem; }
.upright .right, .upright .wrong { min-width: 0; padding: .3rem .4rem;
  font-size: .875rem; }
.right { background: rgb(46 139 87 / calc(var(--share) * .45)); }
.wrong { background: rgb(214 69 65 / calc(var(--share) * .7)); }
.compare { max-width: 46rem; margin: 1rem 0 1.5rem; padding: .75rem;
  background: var(--box); border: 1px solid var(--line);
  border-radius: .4rem; }
.compare[hidden] { display: none; }
.choices { display: grid; gap: .5rem; grid-template-columns: 2fr 1fr 1fr; }
@media (max-width: 640px) { .choices { grid-template-columns: 1fr 1fr; }
  .choices label:first-child { grid-column: 1 / -1; } }
.compare label { font-size: .875rem; }
.compare select, .compare input { display: block; width: 100%;
  font: inherit; }
.stage { position: relative; margin: .75rem 0; cursor: ew-resize;
  touch-action: pan-y; overflow: hidden; border-radius: .25rem; }
.stage img { display: block; width: 100%; height: auto; pointer-events: none;
  user-select: none; }
.stage img + img { position: absolute; inset: 0; height: 100%;
  clip-path: inset(0 0 0 var(--at)); }
.stage .pixels { image-rendering: pixelated; }
.stage::after { content: ''; position: absolute; top: 0; bottom: 0;
  left: calc(var(--at) - 1px); width: 2px; background: #fff;
  box-shadow: 0 0 0 1px #000; }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
'''
