use super::*;
use operator::MissingFigures;

fn one() -> HospitalFigures {
    HospitalFigures {
        name: "Hospital 1".to_owned(),
        gateway: GatewayFigures {
            streams: BTreeMap::from([("ab".to_owned(), 2)]),
            readings_sampled: 10,
            readings_proven: 10,
            envelopes_sealed: 2,
            proofs_checked: 2,
            ..GatewayFigures::default()
        },
        node: NodeFigures {
            streams: BTreeMap::from([("ab".to_owned(), 2)]),
            envelopes_admitted: 2,
            readings_admitted: 10,
            anchors: 1,
            ..NodeFigures::default()
        },
        ..HospitalFigures::default()
    }
}

fn good() -> Report {
    Report::of(String::new(), 1.0, 1, vec![one()])
}

#[test]
fn a_run_is_complete_only_when_every_reading_is_proven() {
    let mut report = good();
    report.judge();
    assert!(report.complete, "{:?}", report.problems);
    report.hospitals[0].gateway.readings_proven = 9;
    report.judge();
    assert!(!report.complete);
    assert_eq!(report.problems, ["10 readings were sampled, 9 proven"]);
}

#[test]
fn after_kills_the_streams_themselves_are_compared() {
    let mut report = good();
    report.hospitals[0].killed = true;
    report.hospitals[0].node.readings_admitted = 3;
    report.judge();
    assert!(report.complete, "{:?}", report.problems);
    report.hospitals[0].node.streams.insert("ab".to_owned(), 1);
    report.judge();
    assert_eq!(report.problems, ["stream ab: 2 envelopes were sealed, 1 stored"]);
}

#[test]
fn a_process_that_ended_on_its_own_is_a_finding_and_its_counters_are_not_compared() {
    let mut report = good();
    report.hospitals[0].killed = true;
    report.hospitals[0].gateway.readings_sampled = 3;
    report.hospitals[0].ended = vec!["the gateway ended on its own".to_owned()];
    report.judge();
    assert!(!report.complete);
    assert_eq!(report.problems, ["the gateway ended on its own"]);
}

#[test]
fn what_is_missing_and_what_another_hand_wrote_is_named() {
    let mut report = good();
    let missing = MissingFigures { count: 2, seqs: vec![(3, 4)], since_ms: 5 };
    report.hospitals[0].node.missing.insert("ab".to_owned(), missing);
    report.hospitals[0].node.second_hand_refused = 7;
    report.judge();
    assert_eq!(
        report.problems,
        [
            "stream ab: 2 envelopes are missing, (3, 4) first",
            "two hands wrote one stream: 7 envelopes of the second refused"
        ]
    );
}

#[test]
fn a_refused_envelope_or_a_failed_proof_spoils_the_run() {
    let spoils: [fn(&mut Report); 5] = [
        |r| r.hospitals[0].node.envelopes_refused = 1,
        |r| r.hospitals[0].gateway.proofs_failed = 1,
        |r| r.hospitals[0].gateway.taken_over = 1,
        |r| r.hospitals[0].gateway.readings_lost = 1,
        |r| r.hospitals[0].gateway.alarm_events_lost = 1,
    ];
    for spoil in spoils {
        let mut report = good();
        spoil(&mut report);
        report.judge();
        assert!(!report.complete);
    }
}

fn four() -> Report {
    let hospitals = (1..=4).map(|n| HospitalFigures { name: format!("Hospital {n}"), ..one() }).collect();
    let mut report = Report::of(String::new(), 1.0, 4, hospitals);
    report.ledger = Some(ConsortiumFigures {
        height: 9,
        epoch: 0,
        authorities: 4,
        blocks_per_s: 1.0,
        finality_ms: Latency::default(),
        agreement: Agreement { height: 9, same_headers: 4, same_anchors: 4, reached: 4 },
    });
    report
}

#[test]
fn one_hospital_reports_as_it_always_did() {
    let json = serde_json::to_value(good()).unwrap();
    let fields: Vec<&String> = json.as_object().unwrap().keys().collect();
    let expected = ["complete", "gateway", "genesis", "kills", "node", "patients", "problems", "seconds"];
    assert_eq!(fields, expected);
    assert_eq!(json["gateway"]["readings_sampled"], 10);
}

#[test]
fn four_hospitals_are_judged_one_by_one_and_summed() {
    let mut report = four();
    report.judge();
    assert!(report.complete, "{:?}", report.problems);
    assert_eq!((report.gateway.readings_sampled, report.node.anchors), (40, 4));
    report.hospitals[2].gateway.readings_proven = 9;
    report.judge();
    assert_eq!(report.problems, ["Hospital 3: 10 readings were sampled, 9 proven"]);
}

#[test]
fn nodes_that_do_not_agree_spoil_the_run() {
    type Spoil = fn(&mut Agreement);
    let spoils: [(Spoil, &str); 4] = [
        (|a| a.same_headers = 3, "only 3 of 4 nodes hold the same headers"),
        (|a| a.same_anchors = 3, "only 3 of 4 nodes hold the same anchors"),
        (|a| a.reached = 3, "only 3 of 4 nodes reached height 9"),
        (|a| a.height = 0, "the ledger has no block"),
    ];
    for (spoil, said) in spoils {
        let mut report = four();
        spoil(&mut report.ledger.as_mut().unwrap().agreement);
        report.judge();
        assert_eq!(report.problems, [said]);
    }
}

#[test]
fn a_node_that_does_not_come_back_spoils_the_run() {
    let mut report = four();
    report.kills.push(Kill {
        after_s: 1.0,
        nodes: vec!["node-2".to_owned()],
        away_ms: 1,
        ready_again_ms: 2,
        caught_up_ms: None,
        height: 3,
        blocks_meanwhile: 4,
        without_block_ms: 5,
    });
    report.judge();
    assert_eq!(report.problems, ["node-2 did not catch up after being killed"]);
}
