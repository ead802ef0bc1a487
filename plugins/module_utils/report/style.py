# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The style sheet of report.html and index.html: screen, phone, dark, print. It stands in the page; nothing is loaded."""

STYLE = """
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #fff; --text: #1a2129; --muted: #55606d; --line: #d9dee4; --link: #0b5cad;
  --good: #176639; --good-bg: #e3f4e9; --warn: #7a4a00; --warn-bg: #fdf0d5; --bad: #a11d1d; --bad-bg: #fce8e6;
  --before: #6b7785; --before-soft: #b4bdc7; --after: #1565c0; --after-soft: #86b6ea;
  --check: #1f7a8c; --keep: #6a4fb3; --change: #1565c0; --back: #b3541e; --off: #8a94a0;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #12161b; --card: #1b2128; --text: #e6eaef; --muted: #a3afbc; --line: #333c46; --link: #7db8f5;
    --good: #7fd6a0; --good-bg: #15301f; --warn: #f2c46d; --warn-bg: #33280f; --bad: #ff9c94; --bad-bg: #3a1a1a;
    --before: #98a4b1; --before-soft: #5b6672; --after: #6cb0f7; --after-soft: #2f6198;
    --check: #5cbccd; --keep: #a68fea; --change: #6cb0f7; --back: #ee9a63; --off: #78828e;
  }
}
* { box-sizing: border-box; }
html { scroll-behavior: smooth; scroll-padding-top: 1rem; -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--page); color: var(--text); font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; }
.wrap { max-width: 68rem; margin: 0 auto; padding: 0 1.25rem; }
a { color: var(--link); }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; border-radius: 4px; }
.skip { position: absolute; left: -999rem; }
.skip:focus { left: 1rem; top: 1rem; padding: .5rem 1rem; background: var(--card); z-index: 1; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
header { background: var(--card); border-bottom: 1px solid var(--line); border-top: 6px solid var(--tone); padding: 1.5rem 0; }
header p { margin: 0; }
.eyebrow { color: var(--muted); font-size: .9rem; }
h1 { font-size: clamp(1.5rem, 1.1rem + 1.8vw, 2.2rem); line-height: 1.2; margin: .35rem 0 .5rem; overflow-wrap: anywhere; }
.how { font-size: 1.05rem; overflow-wrap: anywhere; }
.good { --tone: var(--good); --tone-bg: var(--good-bg); }
.warn { --tone: var(--warn); --tone-bg: var(--warn-bg); }
.plain { --tone: var(--muted); --tone-bg: transparent; }
.bad { --tone: var(--bad); --tone-bg: var(--bad-bg); }
.verdict { color: var(--tone); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(7.6rem, 1fr)); gap: .75rem; margin: 1.25rem 0 0; padding: 0; }
.tiles div { background: var(--page); border: 1px solid var(--line); border-radius: 8px; padding: .6rem .8rem; }
.tiles dt { color: var(--muted); font-size: .85rem; }
.tiles dd { margin: 0; font-weight: 650; font-size: 1.15rem; overflow-wrap: anywhere; }
.tiles small { display: block; font-weight: 400; font-size: .85rem; color: var(--muted); }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1rem; list-style: none; margin: 1rem 0 0; padding: 0; font-size: .92rem; }
nav a { display: inline-block; padding: .2rem 0; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; margin: 1.1rem 0; padding: 1rem 1.25rem; }
section.alert { border-left: 6px solid var(--tone); background: var(--tone-bg); }
h2 { font-size: 1.15rem; margin: 0 0 .6rem; overflow-wrap: anywhere; }
table { width: 100%; border-collapse: collapse; font-size: .93rem; }
caption { text-align: left; color: var(--muted); font-size: .85rem; padding-bottom: .3rem; }
th, td { text-align: left; vertical-align: top; padding: .4rem .75rem .4rem 0; border-top: 1px solid var(--line); overflow-wrap: anywhere; }
thead th { border-top: 0; color: var(--muted); font-weight: 600; font-size: .85rem; overflow-wrap: normal; }
tbody th { font-weight: 600; }
.pairs tbody th { width: 11rem; color: var(--muted); font-weight: 500; }
tr:first-child > * { border-top-color: transparent; }
.short { white-space: nowrap; }
.num { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
code { font: .88em ui-monospace, "SF Mono", Menlo, Consolas, monospace; background: var(--page); border: 1px solid var(--line);
  border-radius: 5px; padding: .15rem .4rem; display: inline-block; }
.pill { display: inline-block; border-radius: 99px; padding: 0 .6rem; font-size: .82rem; font-weight: 650; white-space: nowrap;
  color: var(--tone, var(--muted)); background: var(--tone-bg, transparent); border: 1px solid currentColor; }
details { margin-top: .4rem; }
summary { cursor: pointer; padding: .35rem 0; color: var(--link); }
.fine { color: var(--muted); margin: 0; }
.line { display: inline-block; min-width: 11rem; border-bottom: 1px solid var(--muted); color: var(--muted); }
.phases { list-style: none; margin: 0; padding: 0; }
.phases li { display: grid; grid-template-columns: 12rem 1fr 5rem; gap: .75rem; align-items: center; padding: .2rem 0; font-size: .93rem; }
.phases .track, .axis .track { position: relative; height: 1.1rem; background: var(--page); border-radius: 4px; }
.phases .bar { position: absolute; top: 0; bottom: 0; min-width: 4px; border-radius: 3px; background: var(--kind); }
.check { --kind: var(--check); } .keep { --kind: var(--keep); } .change { --kind: var(--change); } .back { --kind: var(--back); }
.off { --kind: repeating-linear-gradient(45deg, var(--off) 0 5px, transparent 5px 9px); }
.axis { display: flex; justify-content: space-between; margin: .3rem 5.75rem 0 12.75rem; color: var(--muted); font-size: .82rem; }
figure { margin: 0; }
figure svg { width: 100%; max-width: 34rem; height: auto; display: block; margin: 0 auto 1rem; }
footer { color: var(--muted); font-size: .85rem; padding: .5rem 0 2.5rem; overflow-wrap: anywhere; }
@media (max-width: 40rem) {
  .wrap { padding: 0 .75rem; }
  section { padding: .8rem .85rem; }
  .phases li { grid-template-columns: 1fr auto; gap: .1rem .75rem; padding: .35rem 0; }
  .phases .track { grid-column: 1 / -1; grid-row: 2; height: .75rem; }
  .axis { margin: .3rem 0 0; }
  .pairs tbody th { width: 6.5rem; }
  .cards td:first-child, .cards tbody th { font-weight: 650; }
  .cards thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  .cards, .cards tbody, .cards tr, .cards td, .cards tbody th { display: block; width: auto; }
  .cards tr { border-top: 1px solid var(--line); padding: .5rem 0; }
  .cards td, .cards tbody th { border: 0; padding: .1rem 0; text-align: left; white-space: normal; }
  .cards td[data-head]::before { content: attr(data-head) ": "; color: var(--muted); font-size: .85rem; }
  .cards td:empty { display: none; }
}
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } * { transition: none !important; animation: none !important; } }
@page { size: A4; margin: 14mm; }
@media print {
  :root { color-scheme: light; --page: #fff; --card: #fff; --text: #000; --muted: #444; --line: #bbb; --link: #000; --good: #176639;
    --good-bg: #fff; --warn: #7a4a00; --warn-bg: #fff; --bad: #a11d1d; --bad-bg: #fff; --before: #6b7785; --before-soft: #b4bdc7;
    --after: #1565c0; --after-soft: #86b6ea; --check: #1f7a8c; --keep: #6a4fb3; --change: #1565c0; --back: #b3541e; --off: #8a94a0; }
  body { font-size: 9.5pt; }
  .wrap { max-width: none; padding: 0; }
  nav, .skip, .unseen { display: none; }
  section { border: 0; border-radius: 0; padding: 0; margin: 5mm 0; }
  section.alert { padding-left: 4mm; }
  h2, thead, summary { break-after: avoid; }
  tr, figure, .tiles div, .phases li { break-inside: avoid; }
  thead { display: table-header-group; }
  details::details-content { content-visibility: visible; block-size: auto; }
  summary { list-style: none; color: var(--muted); }
  .bar, .pill { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  .signs tr > * { padding-top: 7mm; }
}
"""
