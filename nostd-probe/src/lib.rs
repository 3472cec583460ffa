//! What a firmware without std would link: `vitals` and `device`. It brings its own panic handler: as
//! soon as any dependency brings std, there are two, and the compiler refuses (E0152). A library, since
//! a program would also have to bring an allocator, and that is the firmware's choice.
#![no_std]

use device as _;
use vitals as _;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
