//! What the administrator's page, health and metrics tell of the certificate of the pages.

/// Its end is spoken of from so many days before.
pub const REMIND_DAYS: i64 = 14;
const DAY_S: i64 = 86_400;

/// The certificate in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Certificate {
    /// When it ends, seconds since 1970.
    pub ends_s: i64,
    /// True while its files hold another, which is of no use.
    pub renewal_refused: bool,
}

impl Certificate {
    /// Whole days until its end, negative once it has ended.
    #[must_use]
    pub fn days_left(&self, now_ms: u64) -> i64 {
        let now_s = i64::try_from(now_ms / 1000).unwrap_or(i64::MAX);
        // Its last second counts (RFC 5280, section 4.1.2.5).
        self.ends_s.saturating_sub(now_s).div_euclid(DAY_S)
    }

    /// What somebody should know of it, as a sentence without its first capital; none while all is well.
    #[must_use]
    pub fn complaint(&self, now_ms: u64) -> Option<String> {
        let ends = match self.days_left(now_ms) {
            days @ ..0 => format!("ended {} ago: browsers refuse the pages", counted(-days - 1)),
            days => format!("ends in {}", counted(days)),
        };
        if self.renewal_refused {
            return Some(format!(
                "the files of the pages' certificate hold one of no use (the node's log says why), and the one in force {ends}"
            ));
        }
        let is_near = self.days_left(now_ms) < REMIND_DAYS;
        is_near.then(|| format!("the certificate of the pages {ends}; put a new one into its files"))
    }
}

/// Some days, in words.
fn counted(days: i64) -> String {
    match days {
        0 => "less than a day".into(),
        1 => "1 day".into(),
        days => format!("{days} days"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_complained_of_two_weeks_before_its_end_and_after_it() {
        let held = Certificate { ends_s: 100 * DAY_S, renewal_refused: false };
        let said = |day: i64| held.complaint(u64::try_from(day * DAY_S * 1000).unwrap());
        assert_eq!(said(0), None);
        assert_eq!(said(86), None);
        let near = "the certificate of the pages ends in 13 days; put a new one into its files";
        assert_eq!(said(87).as_deref(), Some(near));
        assert!(said(99).unwrap().contains("ends in 1 day;"));
        assert!(said(100).unwrap().contains("ends in less than a day"), "the last second counts");
        assert!(
            held.complaint(100 * 86_400_000 + 1000).unwrap().contains("ended less than a day ago: browsers")
        );
        assert!(said(103).unwrap().contains("ended 2 days ago"));
        let refused = Certificate { renewal_refused: true, ..held };
        let why = refused.complaint(0).unwrap();
        assert!(why.contains("of no use") && why.ends_with("the one in force ends in 100 days"), "{why}");
    }
}
