"""The style sheet of the report page: house colours, for screens of any width and for paper."""

from __future__ import annotations

from edgecmp.plotting import ACCENT, INK, colour_of

__all__ = ["STYLE"]

STYLE = f"""
:root {{
  color-scheme: light;
  --ink: {INK}; --soft: #5c6068; --line: #dcdfe4; --back: #f5f6f8;
  --right: {colour_of(0)}; --wrong: {ACCENT};
}}
* {{ box-sizing: border-box; }}
body {{
  margin: 0 auto; max-width: 62rem; padding: 1.5rem 1.25rem 4rem;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, Helvetica, Arial, sans-serif;
  color: var(--ink); background: #fff;
}}
h1 {{ font-size: clamp(1.45rem, 4.2vw, 2.1rem); line-height: 1.22; margin: .3rem 0 .8rem;
  letter-spacing: -.012em; text-wrap: balance; }}
h2 {{ font-size: 1.15rem; margin: 2.6rem 0 .5rem; padding-top: .7rem;
  border-top: 1px solid var(--line); }}
p {{ margin: .4rem 0; max-width: 46rem; }}
.kicker, .soft {{ color: var(--soft); }}
.kicker {{ font-size: .9rem; margin: 0; }}
.cards {{ display: grid; gap: .9rem; grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr));
  margin: 1.3rem 0 .6rem; }}
.card {{ background: var(--back); border-radius: 10px; padding: .9rem 1rem 1rem; }}
.card.main {{ outline: 2px solid var(--right); }}
.card h3 {{ margin: 0; font-size: .98rem; }}
.card p {{ margin: 0 0 .5rem; font-size: .86rem; color: var(--soft); }}
.bar {{ display: grid; grid-template-columns: 3.2rem 1fr 4.4rem; gap: .5rem; align-items: center;
  font-size: .92rem; }}
.bar > i {{ display: block; height: .6rem; border-radius: .3rem; background: #dfe3ea;
  overflow: hidden; }}
.bar > i > b {{ display: block; height: 100%; background: var(--right); }}
.bar > span:last-child, td.number, th.number {{ text-align: right;
  font-variant-numeric: tabular-nums; white-space: nowrap; }}
table.narrow {{ max-width: 36rem; }}
table {{ border-collapse: collapse; width: 100%; font-size: .92rem; }}
th {{ text-align: left; font-weight: 600; color: var(--soft); font-size: .84rem; }}
th, td {{ padding: .38rem .7rem .38rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; }}
.verdict {{ font-weight: 600; white-space: nowrap; }}
.verdict.failed {{ color: var(--wrong); }}
.verdict.proven {{ color: var(--right); }}
.samples {{ display: grid; gap: 1rem 1.6rem; margin-top: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(min(27rem, 100%), 1fr)); }}
.sample {{ display: grid; grid-template-columns: 5.4rem 1fr; gap: .35rem .9rem; padding: .8rem 0;
  border-top: 1px solid var(--line); break-inside: avoid; }}
figure {{ margin: 0; min-width: 0; }}
figure img {{ width: 100%; aspect-ratio: 1; object-fit: contain; background: #fff;
  display: block; }}
figcaption {{ font-size: .74rem; color: var(--soft); overflow: hidden; text-overflow: ellipsis;
  white-space: nowrap; }}
.side {{ display: grid; grid-template-columns: 3.6rem repeat(3, minmax(0, 4.9rem)); gap: .5rem;
  align-items: start; }}
.side > span {{ font-size: .8rem; color: var(--soft); padding-top: .3rem; }}
.side + .side {{ margin-top: .45rem; }}
.hit img {{ border-radius: 5px; padding: 2px; }}
.hit.right img {{ border: 3px solid var(--right); }}
.hit.wrong img {{ border: 2px dashed #9aa0aa; }}
.hit.right figcaption {{ color: var(--right); font-weight: 600; }}
img.plot {{ max-width: 100%; height: auto; display: block; margin-top: .6rem; }}
.command {{ display: block; font: .8rem/1.45 ui-monospace, SFMono-Regular, Menlo, Consolas,
  monospace; background: var(--back); border-radius: 6px; padding: .45rem .6rem; margin: .35rem 0;
  overflow-wrap: anywhere; white-space: pre-wrap; }}
dl {{ display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; font-size: .88rem; }}
dt {{ color: var(--soft); }}
dd {{ margin: 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }}
@media (max-width: 40rem) {{
  table, tbody, tr, td {{ display: block; }}
  thead {{ display: none; }}
  tr {{ border-bottom: 1px solid var(--line); padding: .45rem 0; }}
  td, td.number {{ border: 0; padding: .08rem 0; text-align: left; }}
  td[data-label]::before {{ content: attr(data-label) ": "; color: var(--soft); }}
  .sample {{ grid-template-columns: 4.4rem 1fr; gap: .3rem .7rem; }}
  .side {{ grid-template-columns: 3rem repeat(3, minmax(0, 1fr)); gap: .35rem; }}
  dl {{ grid-template-columns: 1fr; }}
  dd {{ margin-bottom: .4rem; }}
}}
@media print {{
  body {{ max-width: none; padding: 0; font-size: 11pt; }}
  h2 {{ break-after: avoid; margin-top: 1.4rem; }}
  tr, .card, .command {{ break-inside: avoid; }}
  * {{ print-color-adjust: exact; -webkit-print-color-adjust: exact; }}
}}
"""
"""Right and wrong differ by a sign and by the kind of their frame, not by colour alone."""
