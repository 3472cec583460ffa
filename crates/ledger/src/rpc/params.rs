//! Parameters, parsed strictly: a guess could answer a question that was not asked.

use super::errors::RpcRefusal;
use crate::machine::{Call, TX_BYTES_MAX};
use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, hex};
use serde_json::{Map, Value};

/// Most entries and most keys of an access list.
const ACCESS_MAX: usize = 256;

/// Which block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BlockSelector {
    /// The newest.
    Tip,
    /// The newest, and what waits on top of it, where that matters.
    Pending,
    /// By height.
    Height(u64),
    /// By digest.
    Digest(B256),
}

/// The parameters of one call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Params<'a> {
    method: &'a str,
    list: &'a [Value],
}

impl<'a> Params<'a> {
    pub(super) fn new(method: &'a str, list: &'a [Value]) -> Self {
        Self { method, list }
    }

    /// For a method without parameters.
    pub(super) fn none<T>(self, answer: impl FnOnce() -> T) -> Result<T, RpcRefusal> {
        self.most(0).map(|_| answer())
    }

    /// Refuses more parameters than this.
    pub(super) fn most(self, most: usize) -> Result<Self, RpcRefusal> {
        if self.list.len() > most {
            let why = format!(
                "{} takes at most {most} parameters, not {}; nothing beyond them is supported",
                self.method,
                self.list.len()
            );
            // Clients that send more and expect it to be heeded must not be misled; nulls mean nothing.
            if self.list[most..].iter().any(|more| !more.is_null() && *more != Value::Object(Map::new())) {
                return Err(RpcRefusal::params(why));
            }
        }
        Ok(self)
    }

    /// A parameter that may be left out.
    pub(super) fn maybe(&self, at: usize) -> Option<&'a Value> {
        self.list.get(at).filter(|value| !value.is_null())
    }

    /// A parameter, read.
    pub(super) fn get<T>(
        &self,
        at: usize,
        what: &str,
        read: impl FnOnce(&'a Value) -> Result<T, Wrong>,
    ) -> Result<T, RpcRefusal> {
        let value = self.maybe(at).ok_or_else(|| {
            RpcRefusal::params(format!("{} needs parameter {} ({what})", self.method, at + 1))
        })?;
        read(value).map_err(|Wrong(why)| RpcRefusal::params(format!("parameter {} ({what}) {why}", at + 1)))
    }

    /// Which block; the newest if it is left out.
    pub(super) fn block(&self, position: usize) -> Result<BlockSelector, RpcRefusal> {
        match self.maybe(position) {
            None => Ok(BlockSelector::Tip),
            Some(_) => self.get(position, "block", at),
        }
    }
}

/// What is wrong with a value: "is not …".
#[derive(Debug)]
pub(super) struct Wrong(pub(super) String);

fn wrong<T>(why: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong(why.into()))
}

fn text(value: &Value) -> Result<&str, Wrong> {
    value.as_str().map_or_else(|| wrong("is not a string"), Ok)
}

fn digits(value: &Value) -> Result<&str, Wrong> {
    match text(value)?.strip_prefix("0x") {
        Some(digits) => Ok(digits),
        None => wrong("does not begin with 0x"),
    }
}

/// A number up to 64 bits.
pub(super) fn quantity(value: &Value) -> Result<u64, Wrong> {
    match u64::try_from(large(value)?) {
        Ok(number) => Ok(number),
        Err(_) => wrong("is larger than 64 bits"),
    }
}

/// A number up to 256 bits.
pub(super) fn large(value: &Value) -> Result<U256, Wrong> {
    let digits = digits(value)?;
    if digits.is_empty() || (digits.len() > 1 && digits.starts_with('0')) {
        return wrong("is not a number (0x and hexadecimal digits without leading zeros)");
    }
    number(digits)
}

fn number(digits: &str) -> Result<U256, Wrong> {
    // The parser of numbers takes underscores too.
    if digits.len() > 64 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return wrong("is not a number of at most 64 hexadecimal digits");
    }
    U256::from_str_radix(digits, 16).or_else(|_| wrong("is not a hexadecimal number"))
}

/// A storage slot: a number, or 32 bytes.
pub(super) fn slot(value: &Value) -> Result<B256, Wrong> {
    let digits = digits(value)?;
    if digits.is_empty() { wrong("is empty") } else { number(digits).map(B256::from) }
}

/// Bytes, at most so many.
pub(super) fn bytes(value: &Value, most: usize) -> Result<Bytes, Wrong> {
    let digits = digits(value)?;
    if digits.len() > 2 * most {
        return wrong(format!("is longer than {most} bytes"));
    }
    hex::decode(digits).map(Bytes::from).or_else(|_| wrong("is not an even number of hexadecimal digits"))
}

fn fixed<const N: usize>(value: &Value) -> Result<[u8; N], Wrong> {
    let digits = digits(value)?;
    let mut out = [0; N];
    if digits.len() != 2 * N || hex::decode_to_slice(digits, &mut out).is_err() {
        return wrong(format!("is not 0x and {} hexadecimal digits", 2 * N));
    }
    Ok(out)
}

/// An address, in any case of its letters.
pub(super) fn address(value: &Value) -> Result<Address, Wrong> {
    fixed(value).map(Address::new)
}

/// 32 bytes.
pub(super) fn hash(value: &Value) -> Result<B256, Wrong> {
    fixed(value).map(B256::new)
}

pub(super) fn flag(value: &Value) -> Result<bool, Wrong> {
    value.as_bool().map_or_else(|| wrong("is neither true nor false"), Ok)
}

/// Which block: a tag, a height, a digest, or an object with one of the two (EIP-1898).
pub(super) fn at(value: &Value) -> Result<BlockSelector, Wrong> {
    if let Value::Object(object) = value {
        return match (object.get("blockNumber"), object.get("blockHash")) {
            (Some(height), None) => quantity(height).map(BlockSelector::Height),
            (None, Some(digest)) => hash(digest).map(BlockSelector::Digest),
            _ => wrong("must have either blockNumber or blockHash"),
        };
    }
    match text(value)? {
        "latest" | "safe" | "finalized" => Ok(BlockSelector::Tip),
        "pending" => Ok(BlockSelector::Pending),
        "earliest" => Ok(BlockSelector::Height(0)),
        digest if digest.len() == 66 => hash(value).map(BlockSelector::Digest),
        _ => match quantity(value) {
            Ok(height) => Ok(BlockSelector::Height(height)),
            Err(Wrong(_)) => {
                wrong("is neither a height, a digest nor one of latest, safe, finalized, pending, earliest")
            }
        },
    }
}

/// A list of at most so many.
pub(super) fn list<'a, T>(
    value: &'a Value,
    most: usize,
    read: impl Fn(&'a Value) -> Result<T, Wrong>,
) -> Result<Vec<T>, Wrong> {
    let Value::Array(items) = value else { return wrong("is not an array") };
    if items.len() > most {
        return wrong(format!("has {} entries; at most {most} may be", items.len()));
    }
    items.iter().map(read).collect()
}

/// An object's field, if it is there, read.
pub(super) fn field<'a, T>(
    object: &'a Map<String, Value>,
    name: &str,
    read: impl FnOnce(&'a Value) -> Result<T, Wrong>,
) -> Result<Option<T>, Wrong> {
    match object.get(name).filter(|value| !value.is_null()) {
        None => Ok(None),
        Some(value) => {
            read(value).map(Some).map_err(|Wrong(why)| Wrong(format!("has a field {name} that {why}")))
        }
    }
}

/// A call to try, with at most `gas_max`; its fees are read and without effect.
pub(super) fn call(value: &Value, chain_id: u64, gas_max: u64) -> Result<Call, Wrong> {
    let Value::Object(object) = value else { return wrong("is not an object") };
    for fee in ["gasPrice", "maxFeePerGas", "maxPriorityFeePerGas"] {
        field(object, fee, large)?;
    }
    for foreign in ["blobVersionedHashes", "authorizationList"] {
        if object.get(foreign).is_some_and(|value| !value.is_null() && *value != Value::Array(Vec::new())) {
            return wrong(format!("has a field {foreign}, which this ledger has no use for"));
        }
    }
    if let Some(other) = field(object, "chainId", quantity)?.filter(|id| *id != chain_id) {
        return wrong(format!("names chain id {other}; this ledger's is {chain_id}"));
    }
    let data = |value| bytes(value, TX_BYTES_MAX);
    let (input, data) = (field(object, "input", data)?, field(object, "data", data)?);
    if let (Some(input), Some(data)) = (&input, &data)
        && input != data
    {
        return wrong("has two different call data, in input and in data");
    }
    Ok(Call {
        from: field(object, "from", address)?.unwrap_or_default(),
        to: field(object, "to", address)?.map_or(TxKind::Create, TxKind::Call),
        value: field(object, "value", large)?.unwrap_or_default(),
        data: input.or(data).unwrap_or_default(),
        gas: field(object, "gas", quantity)?.unwrap_or(gas_max).min(gas_max),
        access_list: field(object, "accessList", access_list)?.unwrap_or_default(),
    })
}

fn access_list(value: &Value) -> Result<AccessList, Wrong> {
    let item = |value: &Value| {
        let Value::Object(object) = value else { return wrong("is not a list of objects") };
        let at = field(object, "address", address)?;
        let keys = field(object, "storageKeys", |keys| list(keys, ACCESS_MAX, hash))?;
        match (at, keys) {
            (Some(address), Some(storage_keys)) => Ok(AccessListItem { address, storage_keys }),
            _ => wrong("has an entry without address or storageKeys"),
        }
    };
    list(value, ACCESS_MAX, item).map(AccessList)
}
