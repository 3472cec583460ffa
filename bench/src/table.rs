//! The one table: each figure beside what it is measured against, and its goal.

use std::fmt::Write as _;

/// A row.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) figure: String,
    pub(crate) beside: String,
    pub(crate) ratio: String,
    pub(crate) goal: String,
    pub(crate) holds: Option<bool>,
}

impl Row {
    pub(crate) fn new(what: impl Into<String>, figure: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            figure: figure.into(),
            beside: String::new(),
            ratio: String::new(),
            goal: String::new(),
            holds: None,
        }
    }

    pub(crate) fn beside(mut self, beside: impl Into<String>, ratio: f64) -> Self {
        self.beside = beside.into();
        self.ratio = format!("{ratio:.2}");
        self
    }

    pub(crate) fn note(mut self, beside: impl Into<String>) -> Self {
        self.beside = beside.into();
        self
    }

    pub(crate) fn goal(mut self, goal: impl Into<String>, holds: bool) -> Self {
        self.goal = goal.into();
        self.holds = Some(holds);
        self
    }
}

/// The table as Markdown.
pub(crate) fn markdown(rows: &[Row]) -> String {
    let mut out =
        String::from("| figure | measured | beside | ratio | goal | |\n|---|---:|---|---:|---|---|\n");
    for row in rows {
        let verdict = match row.holds {
            Some(true) => "holds",
            Some(false) => "**missed**",
            None => "",
        };
        let Row { what, figure, beside, ratio, goal, .. } = row;
        let _ = writeln!(out, "| {what} | {figure} | {beside} | {ratio} | {goal} | {verdict} |");
    }
    out
}

/// A count with its thousands apart.
pub(crate) fn thousands(figure: f64) -> String {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "for people")]
    let digits = (figure.max(0.0).round() as u64).to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
