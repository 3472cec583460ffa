//! alloy deploys a contract, calls it, reads its events and checks a proof, through the JSON-RPC port of
//! a real node: `aceso-foreign-alloy URL TOKEN KEY BYTECODE`. A line per check; status 1 if one fails.

use alloy_network::{EthereumWallet, TransactionBuilder};
use alloy_primitives::{B256, Bytes, U256, keccak256};
use alloy_provider::{Provider, ProviderBuilder};
use alloy_rpc_client::RpcClient;
use alloy_rpc_types_eth::{BlockId, BlockNumberOrTag, TransactionRequest};
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::{SolValue, sol};
use alloy_transport_http::Http;
use alloy_trie::{Nibbles, TrieAccount, proof::verify_proof};
use std::process::ExitCode;
use std::time::Duration;

sol! {
    #[sol(rpc)]
    contract Tally {
        error NothingToCount(address by);
        event Counted(address indexed by, uint256 indexed number, uint256 total);
        function total() external view returns (uint256);
        function count(uint256 number) external;
    }
}

type Failure = Box<dyn std::error::Error>;

struct Checks(bool);

impl Checks {
    fn should(&mut self, holds: bool, text: &str) {
        println!("{} alloy: {text}", if holds { "ok" } else { "not ok" });
        self.0 &= holds;
    }
}

async fn run(checks: &mut Checks) -> Result<(), Failure> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [url, token, key, bytecode] = words.as_slice() else {
        return Err("usage: aceso-foreign-alloy URL TOKEN KEY BYTECODE".into());
    };
    let mut headers = reqwest::header::HeaderMap::new();
    headers.insert("authorization", format!("Bearer {token}").parse()?);
    let client = reqwest::Client::builder().default_headers(headers).build()?;
    let client = RpcClient::new(Http::with_client(client, url.parse()?), true)
        .with_poll_interval(Duration::from_millis(100));
    let signer: PrivateKeySigner = key.parse()?;
    let me = signer.address();
    let provider = ProviderBuilder::new().wallet(EthereumWallet::from(signer)).connect_client(client);

    let chain_id = provider.get_chain_id().await?;
    checks.should(chain_id == 84_001, "the chain id is the ledger's");
    let code: Bytes = bytecode.parse()?;
    let code = [code.to_vec(), U256::from(400).abi_encode()].concat();
    let creation = TransactionRequest::default().with_deploy_code(code);
    let deployed = provider.send_transaction(creation).await?.get_receipt().await?;
    let address = deployed.contract_address.ok_or("no contract address")?;
    checks.should(deployed.status(), "a contract is deployed");

    let tally = Tally::new(address, &provider);
    let watched = provider.new_filter(&tally.Counted_filter().filter).await?;
    let counted = tally.count(U256::from(11)).send().await?.get_receipt().await?;
    let event = counted.decoded_log::<Tally::Counted>();
    checks.should(event.is_some_and(|log| log.total == U256::from(411)), "a receipt brings its event");
    checks.should(tally.total().call().await? == U256::from(411), "a call reads the state");
    let found = tally.Counted_filter().from_block(0).topic1(me).query().await?;
    checks.should(found.len() == 1 && found[0].0.number == U256::from(11), "an event is found by its topic");
    let polled: Vec<alloy_rpc_types_eth::Log> = provider.get_filter_changes(watched).await?;
    checks.should(polled.len() == 1, "a filter tells of the event");
    let refusal = tally.count(U256::ZERO).call().await.err().ok_or("nothing refused")?;
    let decoded = refusal.as_decoded_error::<Tally::NothingToCount>();
    checks
        .should(decoded.is_some_and(|error| error.by == me), "a refusal is decoded to the contract's error");

    let block = provider.get_block(BlockId::Number(BlockNumberOrTag::Latest)).await?.ok_or("no block")?;
    let (slot, absent) = (B256::ZERO, B256::repeat_byte(9));
    let proof = provider.get_proof(address, vec![slot, absent]).block_id(block.header.number.into()).await?;
    let account = TrieAccount {
        nonce: proof.nonce,
        balance: proof.balance,
        storage_root: proof.storage_hash,
        code_hash: proof.code_hash,
    };
    let leaf = Some(alloy_rlp::encode(account));
    let held = verify_proof(
        block.header.state_root,
        Nibbles::unpack(keccak256(address)),
        leaf,
        &proof.account_proof,
    );
    checks.should(held.is_ok(), "the account's proof holds under the state root");
    let value = Some(alloy_rlp::encode(U256::from(411)));
    for (at, key, value, text) in
        [(0, slot, value, "the slot's proof holds"), (1, absent, None, "an empty slot is proven empty")]
    {
        let nodes = &proof.storage_proof[at].proof;
        let held = verify_proof(proof.storage_hash, Nibbles::unpack(keccak256(key)), value, nodes);
        checks.should(held.is_ok(), text);
    }
    let full = provider.get_block(block.header.number.into()).full().await?;
    checks.should(full.is_some(), "a block with its transactions is read");
    let receipts = provider.get_block_receipts(counted.block_number.unwrap_or(0).into()).await?;
    checks.should(receipts.is_some_and(|list| !list.is_empty()), "a block's receipts are read");
    let sent = provider.get_transaction_by_hash(counted.transaction_hash).await?;
    checks.should(sent.is_some_and(|tx| tx.inner.signer() == me), "a transaction is shown with its sender");
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut checks = Checks(true);
    if let Err(why) = run(&mut checks).await {
        checks.should(false, &format!("broke off: {why}"));
    }
    if checks.0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
