//! `Debug` that tells a type's name alone: views hold names and clinical values.

macro_rules! silent_debug {
    ($($name:ident),* $(,)?) => {
        $(impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(stringify!($name))
            }
        })*
    };
}
