//! What was asked of a bedside and what is in force there, as lines under a patient's values.

use super::patient_status::Mark;
use crate::format;
use crate::labels;
use crate::time::Moment;
use clinic::About;
use clinic::views::{AlarmPhase, OrderState, OrderView, Tile};
use vitals::alarm::Condition;

/// One line per order that says something: limits always, answers and pauses while their alarm is open.
pub(crate) fn marks(tile: &Tile) -> impl Iterator<Item = Mark> {
    tile.orders.iter().filter(|order| is_shown(order, tile)).map(mark)
}

fn is_shown(order: &OrderView, tile: &Tile) -> bool {
    let open = |condition: Condition| {
        let of = |alarm: &&clinic::views::AlarmView| alarm.condition == condition;
        tile.alarms.iter().find(of).is_some_and(|alarm| alarm.phase != AlarmPhase::Closed)
    };
    match order.about {
        About::Limits(_) => true,
        About::Answer(condition) | About::Pause(condition) => open(condition),
    }
}

/// What was asked for, to begin a sentence.
fn order_subject(order: &OrderView) -> String {
    match order.about {
        About::Limits(metric) => format!("{} limits", format::capital(&labels::inside(metric))),
        About::Answer(condition) => format!("Acknowledgement of “{}”", labels::condition(condition)),
        About::Pause(condition) if order.ends => {
            format!("Sound of “{}” on again", labels::condition(condition))
        }
        About::Pause(condition) => format!("Silence of “{}”", labels::condition(condition)),
    }
}

fn mark(order: &OrderView) -> Mark {
    let what = order_subject(order);
    let at = Moment(order.answered_at_ms.unwrap_or(order.asked_at_ms));
    let line = |icon, text: String, at| Mark { icon, text, at };
    match order.state {
        OrderState::Asked { away_since_ms: None } => line(
            "out",
            format!("{what}: asked for, not yet confirmed by the bedside; asked at"),
            Moment(order.asked_at_ms),
        ),
        OrderState::Asked { away_since_ms: Some(Some(seen_ms)) } => {
            line("stale", format!("{what}: asked for, not confirmed: bedside offline since"), Moment(seen_ms))
        }
        OrderState::Asked { away_since_ms: Some(None) } => line(
            "stale",
            format!("{what}: asked for, not confirmed: bedside not heard yet; asked at"),
            Moment(order.asked_at_ms),
        ),
        OrderState::InForce => match order.about {
            About::Pause(_) if !order.ends => {
                line("mute", format!("{what}: in force at the bedside until"), Moment(order.until_ms))
            }
            _ => line("bell", format!("{what}: in force at the bedside since"), at),
        },
        OrderState::Narrowed => line(
            "shield",
            format!("{what}: in force at the bedside, no wider than the bedside allows, since"),
            at,
        ),
        OrderState::Ended => line(
            "bell",
            format!("{what}: ended at the bedside, which rings by the stricter limits since"),
            at,
        ),
        OrderState::Nothing => line("bell", format!("{what}: the bedside had no such alarm"), at),
        OrderState::Refused(why) => {
            let was = if matches!(order.about, About::Limits(_)) {
                "; its old limits hold"
            } else {
                "; it rings on"
            };
            line("x", format!("{what}: {}{was}", why.sentence()), at)
        }
        OrderState::Undelivered => line(
            "x",
            format!("{what}: it did not reach the bedside in time; asked at"),
            Moment(order.asked_at_ms),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vitals::Metric;
    use vitals::command::Outcome;

    fn order(about: About, state: OrderState) -> OrderView {
        let answered_at_ms = Some(2_000);
        OrderView {
            about,
            ends: false,
            state,
            asked_at_ms: 1_000,
            answered_at_ms,
            until_ms: 9_000,
            limits: None,
        }
    }

    #[test]
    fn asked_for_and_in_force_are_different_words_and_name_their_time() {
        let limits = About::Limits(Metric::HeartRate);
        let told = |state| {
            let Mark { text, at, .. } = mark(&order(limits, state));
            (text, at.0)
        };
        assert_eq!(
            told(OrderState::Asked { away_since_ms: None }),
            ("Heart rate limits: asked for, not yet confirmed by the bedside; asked at".into(), 1_000)
        );
        assert_eq!(
            told(OrderState::Asked { away_since_ms: Some(Some(500)) }),
            ("Heart rate limits: asked for, not confirmed: bedside offline since".into(), 500)
        );
        assert_eq!(
            told(OrderState::InForce),
            ("Heart rate limits: in force at the bedside since".into(), 2_000)
        );
        assert_eq!(
            told(OrderState::Refused(Outcome::NotNewer)),
            (
                "Heart rate limits: refused at the bedside: a newer command was taken before; its old limits hold"
                    .into(),
                2_000
            )
        );
        let pause = mark(&order(About::Pause(Condition::Above(Metric::HeartRate)), OrderState::InForce));
        assert_eq!(
            (pause.text.as_str(), pause.at.0),
            ("Silence of “heart rate high”: in force at the bedside until", 9_000)
        );
    }
}
