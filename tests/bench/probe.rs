//! The service of the benchmark, compiled by it as a static program: says who it is and when it began, and waits.

#![no_main]

use std::ffi::{c_char, c_int, c_long, c_void};

#[repr(C)]
struct Time {
    seconds: c_long,
    nanoseconds: c_long,
}

unsafe extern "C" {
    fn clock_gettime(clock: c_int, time: *mut Time) -> c_int;
    fn getenv(name: *const c_char) -> *const c_char;
    fn getpid() -> c_int;
    fn open(path: *const c_char, flags: c_int, ...) -> c_int;
    fn pause() -> c_int;
    fn write(fd: c_int, bytes: *const c_void, count: usize) -> isize;
}

const CLOCK_MONOTONIC: c_int = 1;
const O_WRONLY: c_int = 1;

#[unsafe(no_mangle)]
pub extern "C" fn main(_: c_int, _: *const *const c_char) -> c_int {
    let mut now = Time { seconds: 0, nanoseconds: 0 };
    // SAFETY: plain calls of the C library, with pointers to what lives here.
    unsafe {
        clock_gettime(CLOCK_MONOTONIC, &mut now);
        let at = now.seconds as u64 * 1_000_000_000 + now.nanoseconds as u64;
        let record = [getpid() as u64, at];
        let fifo = open(getenv(c"BENCH_STARTS".as_ptr()), O_WRONLY);
        write(fifo, record.as_ptr().cast(), size_of_val(&record));
        loop {
            pause();
        }
    }
}
