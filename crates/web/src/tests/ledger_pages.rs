//! The ledger's pages, and what every page says when the ledger stands still.

use super::attempts::GOOD_PROPOSAL;
use super::scene::{Scene, goes_to, text};
use axum::http::StatusCode;
use clinic::LATE_BLOCKS;
use clinic::VIEW_AGE_MAX_MS;
use vitals::OrgId;
use vitals::held_clock::ClockStep;
use vitals::ledger::Ledger as _;

#[tokio::test]
async fn an_auditor_reads_the_ledger_in_words_and_ids_without_a_name() {
    let mut scene = Scene::new();
    scene.beats(720, 3);
    scene.ward.anchor();
    scene.settle();
    assert_eq!(goes_to(&scene.get("/", "ada").await), "/ledger");
    let page = scene.page("/ledger", "ada").await;
    assert!(page.contains("anchored its log of") && page.contains("relayed a consent"), "{page}");
    assert!(page.contains("Test Hospital") && page.contains("enrolled a patient"), "{page}");
    for name in ["amira", "lee", "kim", "alert(1)", &scene.amira.to_string()] {
        assert!(!page.contains(name), "{name}");
    }
    let block = scene.page("/ledger/blocks/2", "ada").await;
    assert!(block.contains("Block 2") && block.contains("/ledger/transactions/"), "{block}");
    let one = scene.page(&format!("/ledger/transactions/{}", scene.transaction()), "admin").await;
    assert!(one.contains("enrolled") && one.contains("It is final"), "{one}");
    let authorities = scene.page("/ledger/authorities", "ada").await;
    assert!(authorities.contains("node.example:9000") && authorities.contains("No open proposals"));
    assert!(authorities.contains("No validator contradicted itself"));
}

#[tokio::test]
async fn a_search_leads_to_its_block_transaction_or_organisation_or_says_why_not() {
    let scene = Scene::new();
    let name = scene.transaction();
    let leads = |find: String| {
        let scene = &scene;
        async move { goes_to(&scene.get(&format!("/ledger?find={find}"), "ada").await).to_string() }
    };
    assert_eq!(leads("1".into()).await, "/ledger/blocks/1");
    assert_eq!(leads(format!("0x{}", name.to_uppercase())).await, format!("/ledger/transactions/{name}"));
    let org = scene.ward.clinic.org();
    assert_eq!(leads(org.to_string()).await, format!("/ledger?org={org}"));
    let own = scene.page(&format!("/ledger?org={org}"), "ada").await;
    assert!(own.contains("Blocks of one organisation") && own.contains("enrolled"));
    let strange = scene.page(&format!("/ledger?org={}", "ab".repeat(16)), "ada").await;
    assert!(strange.contains("There is nothing here to show"), "{strange}");
    let absent = scene.get("/ledger?find=999999", "ada").await;
    assert_eq!(absent.status(), StatusCode::NOT_FOUND);
    assert!(text(absent).await.contains("No block with this height is final here"));
    let odd = scene.get("/ledger?find=%3Cscript%3E", "ada").await;
    assert_eq!(odd.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let odd = text(odd).await;
    assert!(odd.contains("Search for a height") && !odd.contains("<script>\""), "{odd}");
}

#[tokio::test]
async fn what_is_pruned_is_said_on_the_pages_and_not_taken_for_nothing() {
    let mut scene = Scene::new();
    scene.beats(720, 3);
    scene.ward.anchor();
    scene.settle();
    let (tip, org, name) = (scene.ward.ledger.tip().height, scene.ward.clinic.org(), scene.transaction());
    // The transactions of all blocks but the newest.
    scene.ward.ledger.prune_transactions(tip);
    let page = scene.page("/ledger", "ada").await;
    assert!(page.contains("its transactions are pruned") && !page.contains("enrolled"), "{page}");
    let block = scene.page("/ledger/blocks/2", "ada").await;
    assert!(block.contains("Its transactions are pruned") && !block.contains("carries none"), "{block}");
    let own = scene.page(&format!("/ledger?org={org}&before={tip}"), "ada").await;
    assert!(own.contains("whose transactions this node still keeps"), "{own}");
    let absent = scene.get(&format!("/ledger?find={name}"), "ada").await;
    assert_eq!(absent.status(), StatusCode::NOT_FOUND);
    assert!(text(absent).await.contains("Those of older blocks are pruned"));
    // The blocks themselves.
    scene.ward.ledger.prune(tip - 1);
    let newest = scene.page("/ledger", "ada").await;
    assert!(newest.contains("What is older is pruned"), "{newest}");
    let beyond = scene.page(&format!("/ledger?before={}", tip - 1), "ada").await;
    assert!(beyond.contains("These are pruned") && !beyond.contains("nothing here to show"), "{beyond}");
    for (path, who) in [("/ledger/blocks/2", "ada"), ("/ledger/heads/2", "kim"), ("/ledger?find=2", "ada")] {
        let gone = scene.get(path, who).await;
        assert_eq!(gone.status(), StatusCode::GONE, "{path}");
        let said = text(gone).await;
        let from = tip - 1;
        assert!(said.contains(&format!("lock 2 is pruned: this node keeps blocks from {from} on")), "{said}");
    }
}

#[tokio::test]
async fn older_blocks_are_one_link_away_until_the_first() {
    let mut scene = Scene::new();
    for _ in 0..60 {
        scene.ward.pass(100);
        scene.settle();
    }
    let mut address = "/ledger".to_string();
    let mut pages = 1;
    while let Some((_, older)) = scene.page(&address, "ada").await.split_once("href=\"/ledger?before=") {
        address = format!("/ledger?before={}", older.split('"').next().unwrap());
        pages += 1;
        assert!(pages < 10, "the pages come to an end");
    }
    assert!((3..=4).contains(&pages), "{pages} pages of twenty-five");
}

#[tokio::test]
async fn on_a_ledger_that_stands_still_every_page_says_what_goes_on() {
    let mut scene = Scene::new();
    scene.beats(720, 3);
    let pages =
        [("/wall", "lee"), ("/me", "amira"), ("/admin", "admin"), ("/ledger", "ada"), ("/help", "fay")];
    let halted = |page: &str| page.contains("id=\"halt\">");
    for (path, who) in pages {
        assert!(!halted(&scene.page(path, who).await), "{path}");
    }
    scene.ward.pass(VIEW_AGE_MAX_MS + 120_000);
    scene.settle_without_block();
    for (path, who) in pages.into_iter().chain([
        ("/sign-in", ""),
        ("/ledger/authorities", "admin"),
        ("/ledger/blocks/1", "ada"),
    ]) {
        let page = scene.page(path, who).await;
        assert!(halted(&page), "{path}");
        for sentence in
            ["3 min", "charts keep working", "New consents, new devices and records of other hospitals wait"]
        {
            assert!(page.contains(sentence), "{path}: {sentence}");
        }
    }
    let missing = scene.get("/nothing", "lee").await;
    assert!(halted(&text(missing).await), "a page that says no, too");
    let metrics = scene.page("/metrics", "").await;
    assert!(metrics.contains("aceso_ledger_stale 1\n") && metrics.contains("aceso_ledger_age_seconds 18"));
    scene.settle();
    for (path, who) in pages {
        assert!(!halted(&scene.page(path, who).await), "{path}");
    }
}

#[tokio::test]
async fn a_ledger_that_has_ended_is_no_well_node_from_the_first_second() {
    let mut scene = Scene::new();
    scene.beats(720, 3);
    scene.ward.ledger.set_down(true);
    let health = scene.get("/healthz", "").await;
    assert_eq!(health.status(), StatusCode::SERVICE_UNAVAILABLE);
    let health = text(health).await;
    assert!(health.starts_with("the ledger has ended in this process: monitoring goes on"), "{health}");
    let metrics = scene.page("/metrics", "").await;
    assert!(metrics.contains("aceso_ledger_down 1\n") && metrics.contains("aceso_ledger_stale 1\n"));
    scene.ward.ledger.set_down(false);
    assert_eq!(scene.page("/healthz", "").await, "well\n");
    assert!(scene.page("/metrics", "").await.contains("aceso_ledger_down 0\n"));
}

#[tokio::test]
async fn a_wrong_clock_is_named_on_pages_in_metrics_and_in_health() {
    let mut scene = Scene::new();
    scene.beats(720, 3);
    let no_fault = "aceso_clock_fault{clock=\"node\"} 0\naceso_clock_fault{clock=\"ledger\"} 0";
    assert!(scene.page("/metrics", "").await.contains(no_fault));
    assert_eq!(scene.page("/healthz", "").await, "well\n");
    assert!(!scene.page("/admin", "admin").await.contains("Clock fault"));

    // The node keeps its time through a step of its machine's clock: said, and nothing waits.
    let step = Some(ClockStep { by_ms: -90_000, believed: false });
    scene.ward.clinic.tend_clocks(step, scene.ward.now_ms);
    let health = scene.page("/healthz", "").await;
    assert!(health.starts_with("well, but clock fault:") && health.contains("set back by 90 s"), "{health}");
    assert!(scene.page("/metrics", "").await.contains("aceso_clock_fault{clock=\"node\"} 1"));
    assert!(scene.page("/admin", "admin").await.contains("set back by 90 s; the node keeps its own time"));
    scene.ward.clinic.tend_clocks(None, scene.ward.now_ms);

    // A block of the next hour.
    scene.ward.ledger.block(scene.ward.now_ms + 3_600_000);
    scene.ward.clinic.tend_clocks(None, scene.ward.now_ms);
    let health = scene.get("/healthz", "").await;
    assert_eq!(health.status(), StatusCode::SERVICE_UNAVAILABLE);
    let health = text(health).await;
    assert_eq!(
        health,
        "clock fault: the ledger's time is 3600 s ahead of this node's clock; monitoring goes on\n"
    );
    assert!(scene.page("/metrics", "").await.contains("aceso_clock_fault{clock=\"ledger\"} 1"));
    for (path, who) in [("/wall", "lee"), ("/me", "amira"), ("/admin", "admin"), ("/ledger", "ada")] {
        let page = scene.page(path, who).await;
        assert!(page.contains("Clock fault") && page.contains("3600 s ahead of this node"), "{path}");
    }
    assert!(
        scene.page("/admin", "admin").await.contains("newest block 60 min in the future: a clock is wrong")
    );
    // And one that stands still in the future is not taken for a new one.
    scene.ward.pass(VIEW_AGE_MAX_MS + 1_000);
    scene.settle_without_block();
    assert!(scene.page("/metrics", "").await.contains("aceso_ledger_stale 1\n"));
}

#[tokio::test]
async fn a_page_names_the_newest_block_and_its_browser_may_ask_for_one_it_saw() {
    let mut scene = Scene::new();
    scene.beats(720, 3);
    let named = |page: &str, what: &str| {
        let (_, rest) = page.split_once(&format!(" data-{what}=\"")).unwrap();
        rest.split('"').next().unwrap().to_owned()
    };
    let page = scene.page("/wall", "lee").await;
    assert_eq!(named(&page, "ledger"), hex::encode(scene.ward.clinic.genesis().0));
    let (height, digest) = (named(&page, "height"), named(&page, "digest"));
    let seen = |height: &str| format!("/ledger/heads/{height}");
    let same = format!(r#"{{"height":{height},"digest":"{digest}"}}"#);
    assert_eq!(scene.page(&seen(&height), "amira").await, same);
    scene.settle();
    assert_eq!(scene.page(&seen(&height), "amira").await, same, "the past does not change");
    assert_ne!(named(&scene.page("/wall", "lee").await, "digest"), digest);
    assert_eq!(scene.page(&seen("999999"), "fay").await, r#"{"height":999999,"digest":null}"#);
    assert!(!scene.page("/sign-in", "").await.contains("data-ledger"), "a stranger is no witness");
}

#[tokio::test]
async fn a_late_withdrawal_is_shown_to_staff_and_to_its_patient() {
    let mut scene = Scene::new();
    scene.beats(720, 3);
    scene.ward.ledger.set_withholding_withdrawals(true);
    let revoke = format!("/me/consents/{}/revoke", scene.consent);
    assert_eq!(scene.post(&revoke, "amira", &[("confirm", "yes")]).await.status(), StatusCode::SEE_OTHER);
    for _ in 0..LATE_BLOCKS {
        scene.ward.pass(1000);
        scene.settle();
    }
    for (path, who) in [("/wall", "kim"), ("/admin", "admin"), ("/ledger", "ada")] {
        let page = scene.page(path, who).await;
        assert!(page.contains("id=\"late\"") && page.contains("not on the ledger after 20 blocks"), "{path}");
    }
    let own = scene.page("/me", "amira").await;
    assert!(own.contains("not on the ledger yet: other hospitals may not know"), "{own}");
    let other = scene.page("/me", "bela").await;
    assert!(!other.contains("id=\"late\"") && !other.contains("may not know"), "nobody else's business");
    let metrics = scene.page("/metrics", "").await;
    assert!(
        metrics.contains("aceso_withdrawals_overdue_total 1") && metrics.contains("aceso_withdrawals_late 1")
    );
    scene.ward.ledger.set_withholding_withdrawals(false);
    scene.settle();
    assert!(!scene.page("/admin", "admin").await.contains("id=\"late\""));
}

#[tokio::test]
async fn an_administrator_proposes_and_votes_after_being_asked_twice() {
    let mut scene = Scene::new();
    scene.ward.ledger.add_neighbour_validator(OrgId([0x0c; 16]));
    let page = scene.page("/ledger/authorities", "admin").await;
    assert!(
        page.contains("Propose a change") && page.contains("1 of 2 votes") && page.contains("Vote for it")
    );
    assert!(page.contains("neighbour.example:9000") && page.contains("Test Hospital"), "{page}");
    let read_only = scene.page("/ledger/authorities", "ada").await;
    assert!(!read_only.contains("Propose a change") && !read_only.contains("Vote for it"), "auditors look");

    // The first post asks, the second votes.
    let vote = "/ledger/proposals/1/vote";
    let before = scene.ward.ledger.submitted();
    let question = scene.post(vote, "admin", &[]).await;
    assert_eq!(question.status(), StatusCode::OK);
    assert!(text(question).await.contains("Vote for this proposal?"));
    assert_eq!(scene.ward.ledger.submitted(), before, "nothing yet");
    let done = scene.post(vote, "admin", &[("confirm", "yes")]).await;
    assert_eq!(done.status(), StatusCode::SEE_OTHER);
    let there = goes_to(&done).to_string();
    assert!(scene.page(&there, "admin").await.contains("on its way to the ledger"));
    assert!(!scene.page("/ledger/authorities?sent=0", "admin").await.contains("on its way"));
    scene.settle();
    assert!(scene.page("/ledger/authorities", "ada").await.contains("accepted; acts from epoch"));
    let late = scene.post(vote, "admin", &[("confirm", "yes")]).await;
    assert_eq!(late.status(), StatusCode::BAD_REQUEST);
    assert_eq!(scene.post("/ledger/proposals/9/vote", "admin", &[]).await.status(), StatusCode::NOT_FOUND);

    let fields: Vec<_> = GOOD_PROPOSAL.iter().copied().filter(|(name, _)| *name != "confirm").collect();
    let before = scene.ward.ledger.submitted();
    let question = text(scene.post("/ledger/proposals", "admin", &fields).await).await;
    assert!(
        question.contains("Seat validator 444444…4444") && question.contains("new.example:9000"),
        "{question}"
    );
    assert_eq!(scene.ward.ledger.submitted(), before);
    let done = scene.post("/ledger/proposals", "admin", GOOD_PROPOSAL).await;
    assert_eq!((done.status(), scene.ward.ledger.submitted()), (StatusCode::SEE_OTHER, before + 1));

    // Not a key: trying again would not help, and the page says so.
    let zeros = "0".repeat(64);
    let keyless: Vec<_> = GOOD_PROPOSAL
        .iter()
        .map(|(name, good)| (*name, if *name == "key" { zeros.as_str() } else { *good }))
        .collect();
    let refused = scene.post("/ledger/proposals", "admin", &keyless).await;
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    assert!(text(refused).await.contains("The validator key is not an Ed25519 public key."));

    // On a ledger that stands still nobody decides.
    scene.ward.pass(VIEW_AGE_MAX_MS + 1);
    scene.settle_without_block();
    let waits = scene.post("/ledger/proposals", "admin", GOOD_PROPOSAL).await;
    assert_eq!(waits.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(text(waits).await.contains("nothing new can be decided"));
}

#[tokio::test]
async fn a_ledger_that_does_not_answer_hides_nothing_behind_a_blank_page() {
    let scene = Scene::new();
    scene.ward.ledger.set_down(true);
    for path in ["/ledger", "/ledger/authorities", "/ledger/blocks/1"] {
        let response = scene.get(path, "ada").await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert!(text(response).await.contains("The ledger does not answer"), "{path}");
    }
}
