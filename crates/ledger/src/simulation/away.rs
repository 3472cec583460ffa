//! Validators that were away, while the others keep blocks for some time only.

use super::*;

const EPOCH: u64 = 8;
const KEEP: u64 = 64;

#[test]
fn a_validator_follows_while_the_others_keep_its_blocks_and_then_stands_still_alone() {
    let folder = tempfile::tempdir().unwrap();
    let config = deterministic::Config::new().with_seed(11).with_timeout(Some(Duration::from_secs(1_200)));
    let path = folder.path().to_owned();
    deterministic::Runner::new(config).start(|context| async move {
        let document = GenesisDocument { epoch_blocks: EPOCH, ..document() };
        let mut ward = TestCommittee::on(context, path, document);
        ward.keep_blocks = Some(KEEP);
        away(ward).await;
    });
}

/// As a power cut does. The height it had reached.
fn kill(member: Member) -> u64 {
    let height = member.machine.tip().height;
    member.task.abort();
    height
}

async fn away(ward: TestCommittee) {
    ward.link(None, true).await;
    let mut members = Vec::new();
    for index in 0..usize::from(N) {
        members.push(ward.boot(index, 0).await);
    }
    ward.pass(20).await;

    let gone_at = kill(members.pop().unwrap());
    ward.pass(15).await;
    let missed = members[0].machine.tip().height - gone_at;
    assert!((5..KEEP / 2).contains(&missed), "away for a while: {missed} blocks");
    members.push(ward.boot(3, 1).await);
    ward.pass(15).await;
    let (own, tip) = (members[3].machine.tip().height, members[0].machine.tip().height);
    assert!(own + 3 >= tip && own > gone_at + missed, "it has caught up: {own} of {tip}");

    // What is kept, and a section of the archive for each end, and the epoch after whose end is pruned.
    let gone_at = kill(members.pop().unwrap());
    let far = gone_at + KEEP + 2 * 16 + EPOCH;
    for _ in 0..60 {
        ward.pass(5).await;
        if members[0].machine.tip().height > far {
            break;
        }
    }
    assert!(members[0].machine.tip().height > far, "three are a quorum");
    members.push(ward.boot(3, 2).await);
    let before = members[0].machine.tip().height;
    ward.pass(30).await;
    let (own, tip) = (members[3].machine.tip().height, members[0].machine.tip().height);
    assert!(own < gone_at + KEEP / 2, "nobody has the blocks it needs: {own}, {gone_at} before");
    assert!(tip > before + 15, "the others go on: {before} to {tip}");
    for member in &members {
        let drops: u64 = member.peer_statuses.all().values().map(|peer| peer.drops).sum();
        assert_eq!(drops, 0, "nobody is taken for a liar");
    }
    let heard = members[3].peer_statuses.all().values().map(|peer| peer.height).max();
    assert!(heard > Some(before), "it hears how far the others are: {heard:?}");

    // One that has pruned starts again: what is left is enough.
    let before = kill(members.remove(0));
    ward.pass(5).await;
    members.insert(0, ward.boot(0, 1).await);
    ward.pass(20).await;
    let own = members[0].machine.tip().height;
    assert!(own > before + 10, "it goes on: {before} to {own}");

    // A state that is lost cannot be made again from what is left, and nobody pretends that it can.
    kill(members.remove(1));
    ward.pass(1).await;
    std::fs::remove_file(ward.folder.join("1").join("state.redb")).unwrap();
    let emptied = ward.boot(1, 1).await;
    let fault = emptied.task.await;
    assert!(matches!(fault, Ok(Fault::BlockPruned { height: 1 })), "{fault:?}");
}
