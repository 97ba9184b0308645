//! What pictures are drawn with.

use super::words::Words;
use crate::picture::{escape, shorten};
use std::fmt::Write;

/// From numbers to places on the picture.
#[derive(Clone, Copy)]
pub(super) struct Scale {
    pub(super) low: f64,
    high: f64,
    pub(super) from: f64,
    pub(super) to: f64,
}

impl Scale {
    pub(super) fn new(low: f64, high: f64, from: f64, to: f64) -> Self {
        let high = if high > low { high } else { low + 1.0 };
        Self { low, high, from, to }
    }

    pub(super) fn at(self, number: f64) -> f64 {
        let share = ((number - self.low) / (self.high - self.low)).clamp(0.0, 1.0);
        self.from + share * (self.to - self.from)
    }

    /// Round numbers within, with the decimals that tell them apart.
    pub(super) fn ticks(self, most: usize) -> (Vec<f64>, usize) {
        let rough = (self.high - self.low) / most.max(1) as f64;
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 2.5, 5.0, 10.0]
            .map(|factor| factor * power)
            .into_iter()
            .find(|step| *step >= rough * 0.999)
            .unwrap_or(10.0 * power);
        let first = (self.low / step - 1e-9).ceil() as i64;
        let ticks: Vec<f64> = (first..)
            .map(|number| number as f64 * step)
            .take_while(|tick| *tick <= self.high + step * 1e-9)
            .take(20)
            .collect();
        let digits = (0..8)
            .find(|&digits| {
                let scaled = step * 10f64.powi(digits);
                (scaled - scaled.round()).abs() < 1e-6 * scaled.max(1e-12)
            })
            .unwrap_or(8);
        (ticks, digits as usize)
    }
}

/// A picture under construction.
pub(super) struct Svg(pub(super) String);

impl Svg {
    pub(super) fn new(width: f64, height: f64, class: &str, name: &str) -> Self {
        Self(format!(
            "<svg class=\"{class}\" viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" aria-label=\"{}\">",
            escape(name)
        ))
    }

    pub(super) fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let _ = write!(
            self.0,
            "<line class=\"{class}\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>",
            from.0, from.1, to.0, to.1
        );
    }

    pub(super) fn rectangle(&mut self, class: &str, at: (f64, f64), size: (f64, f64), title: &str) {
        let _ = write!(
            self.0,
            "<rect class=\"{class}\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"2\">",
            at.0,
            at.1,
            size.0.max(0.0),
            size.1.max(0.0)
        );
        self.title(title);
        self.0.push_str("</rect>");
    }

    pub(super) fn circle(&mut self, class: &str, at: (f64, f64), radius: f64, title: &str) {
        let _ = write!(
            self.0,
            "<circle class=\"{class}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"{radius:.1}\">",
            at.0, at.1
        );
        self.title(title);
        self.0.push_str("</circle>");
    }

    pub(super) fn title(&mut self, title: &str) {
        if !title.is_empty() {
            let _ = write!(self.0, "<title>{}</title>", escape(title));
        }
    }

    pub(super) fn text(&mut self, class: &str, at: (f64, f64), text: &str) {
        let _ = write!(
            self.0,
            "<text class=\"{class}\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            at.0,
            at.1,
            escape(text)
        );
    }

    /// A text that may not fit; the whole of it is its title.
    pub(super) fn fitting(&mut self, class: &str, at: (f64, f64), text: &str, most: usize) {
        let short = shorten(text, most);
        let _ = write!(
            self.0,
            "<text class=\"{class}\" x=\"{:.1}\" y=\"{:.1}\">",
            at.0, at.1
        );
        if short != text {
            self.title(text);
        }
        let _ = write!(self.0, "{}</text>", escape(&short));
    }

    pub(super) fn path(&mut self, class: &str, points: impl Iterator<Item = (f64, f64)>, is_closed: bool) {
        let _ = write!(self.0, "<path class=\"{class}\" d=\"");
        for (number, (x, y)) in points.enumerate() {
            let _ = write!(self.0, "{}{x:.1} {y:.1}", if number == 0 { "M" } else { "L" });
        }
        self.0.push_str(if is_closed { "Z\"/>" } else { "\"/>" });
    }

    pub(super) fn end(mut self) -> String {
        self.0.push_str("</svg>");
        self.0
    }
}

/// Where the numbers of a picture with two axes lie.
pub(super) struct Axes {
    pub(super) x: Scale,
    pub(super) y: Scale,
}

impl Axes {
    /// Draws a grid with its numbers; `names` are those of the axes.
    pub(super) fn draw(&self, svg: &mut Svg, words: Words, names: (&str, &str)) {
        let (ticks, digits) = self.y.ticks(5);
        for tick in ticks {
            let y = self.y.at(tick);
            svg.line("grid", (self.x.from, y), (self.x.to, y));
            svg.text(
                "tick end",
                (self.x.from - 6.0, y + 4.0),
                &words.decimals(tick, digits),
            );
        }
        let (ticks, digits) = self.x.ticks(6);
        for tick in ticks {
            let x = self.x.at(tick);
            svg.line("grid", (x, self.y.from), (x, self.y.from + 4.0));
            svg.text(
                "tick middle",
                (x, self.y.from + 16.0),
                &words.decimals(tick, digits),
            );
        }
        svg.line("axis", (self.x.from, self.y.from), (self.x.to, self.y.from));
        let middle = (self.x.from + self.x.to) / 2.0;
        if !names.0.is_empty() {
            svg.text("name middle", (middle, self.y.from + 33.0), names.0);
        }
        if !names.1.is_empty() {
            svg.text("name", (self.x.from - 34.0, self.y.to - 13.0), names.1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_within() {
        let ticks = |low: f64, high: f64| Scale::new(low, high, 0.0, 1.0).ticks(5);
        assert_eq!(ticks(0.0, 1.0).0.len(), 6);
        assert_eq!(ticks(0.0, 1.0).1, 1);
        assert_eq!(
            ticks(1_863.0, 3_849.0),
            (vec![2_000.0, 2_500.0, 3_000.0, 3_500.0], 0)
        );
        assert_eq!(ticks(-0.02, 0.013).1, 2);
        for tick in ticks(-0.02, 0.013).0 {
            assert!((-0.02..=0.0131).contains(&tick));
        }
    }
}
