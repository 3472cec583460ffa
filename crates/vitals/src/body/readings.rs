//! Readings in a body: one column per metric, times and values delta-coded as base-128 varints.

use super::BODY_BYTES_MAX;
use crate::cbor::{NotCanonical, Reader, Writer};
use crate::envelope::COUNT_MAX;
use crate::metric::{Absence, Metric, Reading, Sample};
use alloc::vec::Vec;

/// Columns in metric order: `[metric, count, bytes]`, where bytes hold per reading
/// `varint(Δt·2 | absent)` and then `varint(zigzag(Δvalue))` or the absence code.
pub(super) fn write_readings(w: &mut Writer, readings: &[Reading], first_ms: u64) {
    let mut sorted: Vec<&Reading> = readings.iter().collect();
    sorted.sort_by_key(|reading| (reading.metric, reading.at_ms));
    let columns: Vec<&[&Reading]> = sorted.chunk_by(|a, b| a.metric == b.metric).collect();
    w.array(columns.len());
    for column in columns {
        let mut packed = Vec::new();
        let (mut at_ms, mut value) = (first_ms, 0i32);
        for reading in column {
            let step = reading.at_ms.saturating_sub(at_ms);
            at_ms = reading.at_ms;
            match reading.sample {
                Sample::Measured(now) => {
                    put_varint(&mut packed, step << 1);
                    put_varint(&mut packed, zigzag(i64::from(now) - i64::from(value)));
                    value = now;
                }
                Sample::Absent(reason) => {
                    put_varint(&mut packed, step << 1 | 1);
                    packed.push(reason as u8);
                }
            }
        }
        w.array(3).uint(u64::from(column[0].metric.code())).uint(column.len() as u64).bytes(&packed);
    }
}

pub(super) fn read_readings(r: &mut Reader<'_>, first_ms: u64) -> Result<Vec<Reading>, NotCanonical> {
    let mut readings = Vec::new();
    let mut metric_before = 0;
    r.list(Metric::ALL.len(), |r| {
        r.array(3)?;
        let code = r.u8()?;
        if code <= metric_before {
            return Err(NotCanonical::Order);
        }
        metric_before = code;
        let metric = Metric::from_code(code).ok_or(NotCanonical::Unexpected)?;
        // A header counts all columns together.
        let count = r.uint_max(u64::from(COUNT_MAX).saturating_sub(readings.len() as u64))?;
        let mut packed = r.bytes(BODY_BYTES_MAX)?;
        let (mut at_ms, mut value) = (first_ms, 0i32);
        for _ in 0..count {
            let step = take_varint(&mut packed)?;
            at_ms = at_ms.checked_add(step >> 1).ok_or(NotCanonical::TooLong)?;
            let sample = if step & 1 == 1 {
                let (code, rest) = packed.split_first().ok_or(NotCanonical::Truncated)?;
                packed = rest;
                Sample::Absent(Absence::from_code(*code).ok_or(NotCanonical::Unexpected)?)
            } else {
                let delta = unzigzag(take_varint(&mut packed)?);
                let now = i64::from(value).checked_add(delta).ok_or(NotCanonical::TooLong)?;
                value = i32::try_from(now).map_err(|_| NotCanonical::TooLong)?;
                Sample::Measured(value)
            };
            readings.push(Reading { metric, at_ms, sample });
        }
        if count == 0 {
            return Err(NotCanonical::Unexpected);
        }
        if packed.is_empty() { Ok(()) } else { Err(NotCanonical::Trailing) }
    })?;
    Ok(readings)
}

fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63).cast_unsigned()
}

fn unzigzag(code: u64) -> i64 {
    (code >> 1).cast_signed() ^ -(code & 1).cast_signed()
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let low = u8::try_from(value & 0x7f).expect("seven bits fit a byte");
        value >>= 7;
        if value == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

fn take_varint(bytes: &mut &[u8]) -> Result<u64, NotCanonical> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first().ok_or(NotCanonical::Truncated)?;
        *bytes = rest;
        let low = u64::from(byte & 0x7f);
        if shift == 63 && low > 1 {
            return Err(NotCanonical::TooLong);
        }
        value |= low << shift;
        if byte & 0x80 == 0 {
            // A final zero group would give the same value in fewer bytes.
            let shortest = *byte != 0 || shift == 0;
            return if shortest { Ok(value) } else { Err(NotCanonical::NotShortest) };
        }
    }
    Err(NotCanonical::TooLong)
}
