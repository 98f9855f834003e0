//! A small writer of line charts as SVG: logarithmic axes, a line and a name for each series.

use std::fmt::Write;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 440.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 130.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 50.0;

/// Colours that can be told apart, also by most people who see fewer of them.
const COLOURS: [&str; 9] =
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#7f7f7f", "#8b4513"];

/// A named line.
pub struct Series {
    /// Its name.
    pub name: String,
    /// Its points, by ascending x; all coordinates above zero.
    pub points: Vec<(f64, f64)>,
}

/// A chart with at least one series.
pub struct Chart {
    /// Above it.
    pub title: &'static str,
    /// Below the x axis.
    pub x_title: &'static str,
    /// At the y axis.
    pub y_title: &'static str,
    /// What it shows.
    pub series: Vec<Series>,
}

/// A range of values on a logarithmic axis and the pixels it covers.
struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    /// Covers the values, whole decades if `decades`.
    fn over(values: impl Iterator<Item = f64>, decades: bool, from: f64, to: f64) -> Axis {
        let (low, high) = values
            .filter(|value| *value > 0.0)
            .fold((f64::MAX, f64::MIN_POSITIVE), |(low, high), value| (low.min(value), high.max(value)));
        let (low, high) = if low > high { (1.0, 10.0) } else { (low, high) };
        if !decades {
            return Axis { low: low / 1.15, high: high * 1.15, from, to };
        }
        let decade = |value: f64| 10_f64.powf(value);
        let (floor, ceiling) = (low.log10().floor(), high.log10().ceil());
        Axis { low: decade(floor), high: decade(ceiling.max(floor + 1.0)), from, to }
    }

    fn at(&self, value: f64) -> f64 {
        let share = (value.max(self.low) / self.low).ln() / (self.high / self.low).ln();
        self.from + share * (self.to - self.from)
    }
}

impl Chart {
    /// The chart as the text of an SVG file.
    pub fn draw(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        let points = || self.series.iter().flat_map(|series| series.points.iter().copied());
        let x = Axis::over(points().map(|(x, _)| x), false, LEFT, WIDTH - RIGHT);
        let y = Axis::over(points().map(|(_, y)| y), true, HEIGHT - BOTTOM, TOP);
        writeln!(
            text,
            r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/>"##
        )?;
        writeln!(text, r#"<text x="{LEFT}" y="22" font-size="15">{}</text>"#, escape(self.title))?;
        let centre = (LEFT + WIDTH - RIGHT) / 2.0;
        let below = HEIGHT - 10.0;
        writeln!(
            text,
            r#"<text x="{centre}" y="{below}" text-anchor="middle">{}</text>"#,
            escape(self.x_title)
        )?;
        writeln!(
            text,
            r#"<text transform="translate(14 {}) rotate(-90)" text-anchor="middle">{}</text>"#,
            (TOP + HEIGHT - BOTTOM) / 2.0,
            escape(self.y_title)
        )?;
        self.write_grid(text, &x, &y)?;
        let mut last_name_y = f64::MIN;
        let mut ordered: Vec<usize> = (0..self.series.len()).collect();
        ordered.sort_by(|a, b| self.end_of(*b).total_cmp(&self.end_of(*a)));
        for at in ordered {
            let series = &self.series[at];
            let colour = COLOURS[at % COLOURS.len()];
            write_line(text, series, colour, &x, &y)?;
            // Names stand where lines end, moved down where they would overlap.
            let name_y = y.at(self.end_of(at)).max(last_name_y + 14.0);
            last_name_y = name_y;
            let (left, name_y) = (WIDTH - RIGHT + 10.0, name_y + 4.0);
            writeln!(
                text,
                r#"<text x="{left:.0}" y="{name_y:.1}" fill="{colour}">{}</text>"#,
                escape(&series.name)
            )?;
        }
        writeln!(text, "</svg>")
    }

    fn end_of(&self, series: usize) -> f64 {
        self.series[series].points.last().map_or(0.0, |(_, y)| *y)
    }

    fn write_grid(&self, text: &mut String, x: &Axis, y: &Axis) -> std::fmt::Result {
        let mut decade = y.low;
        while decade <= y.high * 1.001 {
            let at = y.at(decade);
            writeln!(text, r##"<path d="M{} {at:.1}H{}" stroke="#ccc"/>"##, x.from, x.to)?;
            writeln!(
                text,
                r#"<text x="{}" y="{:.1}" text-anchor="end">{}</text>"#,
                x.from - 6.0,
                at + 4.0,
                short(decade)
            )?;
            decade *= 10.0;
        }
        let mut places: Vec<f64> =
            self.series.iter().flat_map(|series| series.points.iter().map(|(x, _)| *x)).collect();
        places.sort_by(f64::total_cmp);
        places.dedup();
        for place in places {
            let (at, below) = (x.at(place), y.from + 16.0);
            writeln!(text, r##"<path d="M{at:.1} {}V{}" stroke="#eee"/>"##, y.from, y.to)?;
            writeln!(text, r#"<text x="{at:.1}" y="{below}" text-anchor="middle">{}</text>"#, short(place))?;
        }
        Ok(())
    }
}

fn write_line(text: &mut String, series: &Series, colour: &str, x: &Axis, y: &Axis) -> std::fmt::Result {
    let places: Vec<_> = series.points.iter().map(|point| (x.at(point.0), y.at(point.1))).collect();
    let path: Vec<_> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    writeln!(
        text,
        r#"<polyline fill="none" stroke="{colour}" stroke-width="2" points="{}"/>"#,
        path.join(" ")
    )?;
    for (x, y) in places {
        writeln!(text, r#"<circle cx="{x:.1}" cy="{y:.1}" r="3" fill="{colour}"/>"#)?;
    }
    Ok(())
}

fn short(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{}M", value / 1e6),
        value if value >= 1e4 => format!("{}k", value / 1e3),
        value => format!("{value}"),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_covers_its_values() {
        let axis = Axis::over([3.0, 4000.0].into_iter(), true, 0.0, 100.0);
        assert_eq!((axis.low, axis.high), (1.0, 10_000.0));
        assert!((axis.at(100.0) - 50.0).abs() < 1e-9);
        assert_eq!(axis.at(0.0), 0.0);
    }

    #[test]
    fn a_chart_names_its_series() {
        let series = vec![Series { name: "a<b".to_owned(), points: vec![(1.0, 10.0), (16.0, 200.0)] }];
        let text = Chart { title: "t", x_title: "x", y_title: "y", series }.draw();
        assert!(text.contains("a&lt;b") && text.trim_end().ends_with("</svg>"));
    }
}
