//! Plots as SVG: bars of rates, and lines of growth. Few enough shapes that a library would be more than they are.

use std::fmt::Write as _;

use crate::report::Report;

const WIDTH: f64 = 860.0;
const INK: &str = "#24292f";
const OURS: &str = "#1f6feb";
const OTHERS: &str = "#8c959f";
const LIMITS: &str = "#d4a72c";

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
    let _ = write!(
        body,
        "{}",
        text(10.0, 18.0, "start", "per second, logarithmic scale; medians of one run", INK)
    );
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
            text(LABELS - 8.0, y + 11.0, "end", name, INK),
            y,
            text(LABELS + length + 6.0, y + 11.0, "start", &format!("{per_s:.0}"), INK),
        );
        y += ROW;
    }
    svg(y + 6.0, &body)
}

/// What grows, and lines of what that costs: one part of a plot.
pub(crate) struct Panel {
    /// What grows.
    pub(crate) amounts: &'static str,
    /// How much of it there was, and each line's figure then.
    pub(crate) points: Vec<(f64, [f64; 2])>,
}

/// Panels below each other, all of the same lines, on logarithmic scales: what costs the same is level.
pub(crate) fn panels(title: &str, lines: [&str; 2], panels: &[Panel]) -> String {
    const HEIGHT: f64 = 190.0;
    let figures = || panels.iter().flat_map(|panel| &panel.points).flat_map(|point| &point.1);
    let lowest = figures().copied().fold(f64::INFINITY, f64::min).max(1e-3).log10().floor();
    let highest = figures().copied().fold(1e-3, f64::max).log10().ceil().max(lowest + 1.0);
    let mut body = text(10.0, 18.0, "start", title, INK);
    for (name, (colour, x)) in lines.into_iter().zip([(OURS, 380.0), (OTHERS, 640.0)]) {
        body += &text(x, 18.0, "start", name, colour);
    }
    let mut top = 40.0;
    for panel in panels {
        body += &panel.draw(top, top + HEIGHT - 50.0, (lowest, highest));
        top += HEIGHT;
    }
    svg(top, &body)
}

impl Panel {
    fn draw(&self, top: f64, bottom: f64, (lowest, highest): (f64, f64)) -> String {
        let (left, right) = (70.0, 800.0);
        let log = |amount: f64| amount.max(1.0).log10();
        let first = self.points.iter().map(|point| log(point.0)).fold(f64::INFINITY, f64::min);
        let last = self.points.iter().map(|point| log(point.0)).fold(0.0, f64::max).max(first + 1.0);
        let x = |amount: f64| left + (log(amount) - first) / (last - first) * (right - left);
        let y =
            |figure: f64| bottom - (figure.max(1e-3).log10() - lowest) / (highest - lowest) * (bottom - top);
        let mut body =
            format!("<path d=\"M{left} {top}V{bottom}H{right}\" fill=\"none\" stroke=\"{INK}\"/>\n");
        body += &text(right, bottom + 32.0, "end", self.amounts, INK);
        for decade in [lowest, highest] {
            let tick = 10f64.powf(decade);
            body += &text(left - 8.0, y(tick) + 4.0, "end", &format!("{tick} µs"), INK);
        }
        for (amount, _) in &self.points {
            body += &text(x(*amount), bottom + 16.0, "middle", &format!("{amount:.0}"), INK);
        }
        for (line, colour) in [OURS, OTHERS].into_iter().enumerate() {
            let places: Vec<(f64, f64, f64)> = self
                .points
                .iter()
                .filter_map(|(amount, figures)| {
                    let figure = *figures.get(line)?;
                    Some((x(*amount), y(figure), figure))
                })
                .collect();
            let path: Vec<String> = places.iter().map(|(x, y, _)| format!("{x:.1} {y:.1}")).collect();
            let path = path.join("L");
            let _ =
                writeln!(body, "<path d=\"M{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>");
            for (x, y, figure) in places {
                let _ = writeln!(body, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{colour}\"/>");
                let above = if line == 0 { 16.0 } else { -8.0 };
                body += &text(x, y + above, "middle", &format!("{figure:.2}"), colour);
            }
        }
        body
    }
}

fn text(x: f64, y: f64, anchor: &str, words: &str, colour: &str) -> String {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"{colour}\">{words}</text>\n")
}

fn svg(height: f64, body: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n{body}</svg>\n"
    )
}
