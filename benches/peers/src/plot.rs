//! Plots as SVG: bars of rates, and lines of growth. Few enough shapes that a library would be more than they are.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;

use crate::report::Report;

const WIDTH: f64 = 860.0;
const INK: &str = "#24292f";
const OURS: &str = "#1f6feb";
const OTHERS: &str = "#8c959f";
const LIMITS: &str = "#d4a72c";

/// Writes a plot into a directory, which is made if it is not there.
pub(crate) fn write(directory: &Path, name: &str, svg: &str) -> anyhow::Result<()> {
    std::fs::create_dir_all(directory)?;
    let path = directory.join(name);
    std::fs::write(&path, svg).with_context(|| format!("cannot write {}", path.display()))
}

/// The rate of each case as a bar, on a logarithmic scale: they lie orders of magnitude apart.
pub(crate) fn bars(report: &Report) -> String {
    const ROW: f64 = 22.0;
    const LABELS: f64 = 330.0;
    const FIGURES: f64 = 90.0;
    let rows: Vec<(&str, f64)> = report
        .rows
        .iter()
        .filter_map(|row| Some((row.name, row.median?.per_s)))
        .filter(|row| row.1 > 0.0)
        .collect();
    let least = rows.iter().map(|row| row.1).fold(f64::INFINITY, f64::min).log10().floor();
    let most = rows.iter().map(|row| row.1).fold(1.0, f64::max).log10().ceil().max(least + 1.0);
    let mut body = String::new();
    let mut y = 34.0;
    let _ =
        write!(body, "{}", text(10.0, 18.0, "start", "per second, logarithmic scale; medians of one run"));
    for (name, per_s) in &rows {
        let length = (per_s.log10() - least) / (most - least) * (WIDTH - LABELS - FIGURES);
        let colour = match name {
            name if name.starts_with("ours") => OURS,
            name if name.starts_with("echo") || name.starts_with("disk") || name.starts_with("limit") => {
                LIMITS
            }
            _ => OTHERS,
        };
        let _ = write!(
            body,
            "{}<rect x=\"{LABELS}\" y=\"{}\" width=\"{length:.1}\" height=\"14\" fill=\"{colour}\"/>\n{}",
            text(LABELS - 8.0, y + 11.0, "end", name),
            y,
            text(LABELS + length + 6.0, y + 11.0, "start", &format!("{per_s:.0}")),
        );
        y += ROW;
    }
    svg(y + 6.0, &body)
}

/// Figures over a logarithmic scale, as a line with its points.
pub(crate) fn line(title: &str, x_name: &str, y_name: &str, points: &[(f64, f64)]) -> String {
    let (left, right, top, bottom) = (70.0, 830.0, 40.0, 260.0);
    let log = |x: f64| x.max(1.0).log10();
    let first = points.iter().map(|point| log(point.0)).fold(f64::INFINITY, f64::min);
    let last = points.iter().map(|point| log(point.0)).fold(0.0, f64::max).max(first + 1.0);
    let most = points.iter().map(|point| point.1).fold(0.0, f64::max).max(f64::MIN_POSITIVE) * 1.15;
    let place = |(x, y): (f64, f64)| {
        (left + (log(x) - first) / (last - first) * (right - left), bottom - y / most * (bottom - top))
    };
    let mut body = text(10.0, 18.0, "start", &format!("{title}: {y_name}"));
    let _ = write!(
        body,
        "<path d=\"M{left} {top}V{bottom}H{right}\" fill=\"none\" stroke=\"{INK}\"/>\n{}",
        text(right, bottom + 36.0, "end", x_name)
    );
    let path: Vec<String> =
        points.iter().map(|point| place(*point)).map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
    let _ = writeln!(
        body,
        "<path d=\"M{}\" fill=\"none\" stroke=\"{OURS}\" stroke-width=\"2\"/>",
        path.join("L")
    );
    for point in points {
        let (x, y) = place(*point);
        let _ = write!(
            body,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{OURS}\"/>\n{}{}",
            text(x, y - 9.0, "middle", &format!("{:.2}", point.1)),
            text(x, bottom + 16.0, "middle", &format!("{}", point.0)),
        );
    }
    svg(bottom + 46.0, &body)
}

fn text(x: f64, y: f64, anchor: &str, words: &str) -> String {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"{INK}\">{words}</text>\n")
}

fn svg(height: f64, body: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n{body}</svg>\n"
    )
}
