//! Randomness that the caller draws, in the shape that libraries ask for.

use core::convert::Infallible;
use rand_core::{TryCryptoRng, TryRng};

/// A generator over a function that fills bytes. As good as that function: give it one that draws from
/// the operating system, or from fixed bytes in a test.
pub struct EntropyRng<F>(pub F);

impl<F> core::fmt::Debug for EntropyRng<F> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("EntropyRng")
    }
}

impl<F: FnMut(&mut [u8])> TryRng for EntropyRng<F> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        (self.0)(&mut bytes);
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        (self.0)(&mut bytes);
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        (self.0)(out);
        Ok(())
    }
}

impl<F: FnMut(&mut [u8])> TryCryptoRng for EntropyRng<F> {}
