use super::validator_health::SKIPPED_TURNS_MAX;
use super::*;

#[test]
fn turns_count_leaders_and_skipped_views() {
    let committee = [[1; 32], [2; 32], [3; 32], [4; 32]];
    let turn = |height, parent_view, view: u64, leader: [u8; 32]| Turn {
        epoch: 1,
        view,
        parent_view,
        height,
        leader,
    };
    // Epoch 1: view 4 is the turn of place (1 + 4) mod 4 = 1.
    let headers = [
        turn(12, 6, 8, [2; 32]), // view 7, place 0, was skipped
        turn(11, 5, 6, [4; 32]),
        turn(10, 4, 5, [3; 32]),
        Turn { epoch: 0, ..turn(9, 0, 100, [1; 32]) },
    ];
    let counted = turns(1, &committee, headers);
    let of = |place: usize| (counted[place].led, counted[place].skipped, counted[place].last_led);
    assert_eq!(of(0), (0, 1, None));
    assert_eq!(of(1), (1, 0, Some(12)));
    assert_eq!(of(2), (1, 0, Some(10)));
    assert_eq!(of(3), (1, 0, Some(11)));
    assert!(turns(1, &[], headers).is_empty(), "no committee, no turns");
}

#[test]
fn a_header_that_claims_endless_skips_costs_no_endless_time() {
    let turn = Turn { epoch: 0, view: u64::MAX, parent_view: 0, height: 1, leader: [1; 32] };
    let counted = turns(0, &[[1; 32]], [turn]);
    assert_eq!(counted[0].skipped, SKIPPED_TURNS_MAX as u64);
}

#[test]
fn a_validator_is_connected_while_it_was_heard_lately() {
    let mut health = turns(0, &[[1; 32]], []).remove(0);
    assert_eq!(health.connected(1_000_000), None, "never heard");
    health.heard_at_ms = Some(1_000_000);
    assert_eq!(health.connected(1_000_000 + HEARD_WITHIN_MS), Some(true));
    assert_eq!(health.connected(1_000_001 + HEARD_WITHIN_MS), Some(false));
    health.voted_at_ms = Some(1_000_001);
    assert_eq!(health.connected(1_000_001 + HEARD_WITHIN_MS), Some(true));
    health.height = Some(90);
    assert_eq!((health.lag(100), health.lag(80)), (Some(10), Some(0)));
}

#[test]
fn a_quorum_is_more_than_two_thirds() {
    let of = |n: u8| {
        let authorities =
            Authorities { committee: (0..n).map(|at| [at; 32]).collect(), ..Authorities::default() };
        (authorities.quorum(), authorities.max_faulty())
    };
    assert_eq!([of(1), of(3), of(4), of(7)], [(1, 0), (3, 0), (3, 1), (5, 2)]);
    let authorities = Authorities { epoch: 2, epoch_blocks: 128, ..Authorities::default() };
    assert_eq!(authorities.epoch_ends(), Some(383));
    let endless = Authorities { epoch: 1, epoch_blocks: u64::MAX, ..Authorities::default() };
    assert_eq!(endless.epoch_ends(), None);
}
