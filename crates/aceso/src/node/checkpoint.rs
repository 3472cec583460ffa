//! Checkpoints of this node's ledger: one organisation makes one, the others compare it with their own
//! ledger and add their signature.

use anyhow::{Context, Result, ensure};
use vitals::proof::checkpoint::Checkpoint;
use vitals::proof::genesis::GenesisDocument;
use vitals::proof::header::{BlockHeader, digest};
use vitals::proof::{Finalized, Known, LedgerProof, verify};

fn newest(document: &GenesisDocument, proof: &LedgerProof) -> Result<Finalized> {
    verify(document, None, proof).context("the own ledger's proof does not hold from the genesis on")
}

/// A checkpoint of the newest certified block, not signed yet.
pub(super) fn make(document: &GenesisDocument, proof: &LedgerProof) -> Result<Checkpoint> {
    let finalized = newest(document, proof)?;
    let (height, time_ms) = (finalized.header.height, finalized.header.time_ms);
    let last = height.wrapping_add(1).checked_rem(document.epoch_blocks) == Some(0);
    ensure!(!last, "block {height} is the last of its epoch; ask again for the next one");
    Ok(Checkpoint { genesis: document.hash(), known: finalized.known(), time_ms, signatures: Vec::new() })
}

/// Is this what the own ledger says of the block? `own_header` is the own one of the same height.
pub(super) fn agree(
    document: &GenesisDocument,
    proof: &LedgerProof,
    own_header: &[u8],
    checkpoint: &Checkpoint,
) -> Result<()> {
    ensure!(checkpoint.genesis == document.hash(), "the checkpoint is of another ledger: it is not signed");
    let height = checkpoint.known.height;
    let last = height.wrapping_add(1).checked_rem(document.epoch_blocks) == Some(0);
    ensure!(!last, "the checkpoint is of the last block of an epoch: nobody would believe it");
    let shown = newest(document, proof)?.header.height;
    ensure!(shown >= height, "the own ledger shows block {shown} only: ask again later");
    let header = BlockHeader::decode(own_header).context("the own ledger's header")?;
    // Of the changes the proof was followed across, the last one below decides.
    let mut committee = document.committee.clone();
    for change in proof.changes.iter().flatten() {
        let change = BlockHeader::decode(&change.header).context("a change of the committee")?;
        if change.height < height {
            committee = change.committee;
        }
    }
    let own = Known { height: header.height, digest: digest(own_header), committee };
    ensure!(
        (own, header.time_ms) == (checkpoint.known.clone(), checkpoint.time_ms),
        "the own ledger has another block or committee at height {height}: it is not signed; call the organisation \
         that sent this, one of the two ledgers is wrong"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn golden(name: &str) -> Vec<u8> {
        let root: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../../testdata/golden"].iter().collect();
        let text = std::fs::read_to_string(root.join(name)).unwrap();
        hex::decode(text.split_whitespace().collect::<String>()).unwrap()
    }

    #[test]
    fn a_checkpoint_is_made_of_the_newest_block_and_signed_by_others_only_if_theirs_agrees() {
        let document = GenesisDocument::decode(&golden("bundle_genesis_v2.hex")).unwrap();
        let proof = LedgerProof::decode(&golden("ledger_proof_v2.hex")).unwrap();
        let made = make(&document, &proof).unwrap();
        assert_eq!(made.known.height, 600);
        let agrees = |checkpoint: &Checkpoint| agree(&document, &proof, &proof.header, checkpoint);
        agrees(&made).unwrap();
        let refused = |change: &dyn Fn(&mut Checkpoint)| {
            let mut other = made.clone();
            change(&mut other);
            agrees(&other).unwrap_err().to_string()
        };
        assert!(refused(&|it| it.genesis.0[0] ^= 1).contains("another ledger"));
        assert!(refused(&|it| it.known.digest[0] ^= 1).contains("another block"));
        assert!(refused(&|it| it.known.committee[0][0] ^= 1).contains("another block or committee"));
        assert!(refused(&|it| it.time_ms += 1).contains("another block"));
        assert!(refused(&|it| it.known.height = 639).contains("last block of an epoch"));
        assert!(refused(&|it| it.known.height = 700).contains("block 600 only"));
    }
}
