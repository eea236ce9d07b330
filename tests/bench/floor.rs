//! The floor: nothing but vfork, exec and wait. No status, no commands, no logs; what dies is started again at once.

use std::ffi::{CString, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::null;

const STACK_SIZE: usize = 64 * 1024;

/// What the child needs, all of it made before.
struct Exec {
    program: CString,
    arguments: [*const c_char; 2],
    environment: Vec<*const c_char>,
}

extern "C" fn exec(order: *mut c_void) -> c_int {
    // SAFETY: `order` is the parent's `Exec`, which waits until we have execed; execve only reads from it.
    unsafe {
        let order = &*order.cast::<Exec>();
        libc::execve(order.program.as_ptr(), order.arguments.as_ptr(), order.environment.as_ptr());
        libc::_exit(127)
    }
}

fn start(order: &Exec, stack: &mut [u8]) -> c_int {
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    let top = stack.as_mut_ptr_range().end.map_addr(|address| address & !15);
    // SAFETY: the stack is the child's alone until it has execed, for which CLONE_VFORK waits.
    unsafe { libc::clone(exec, top.cast(), flags, (&raw const *order).cast_mut().cast()) }
}

/// Starts `count` copies of `program`, and a new one for each that ends, for ever.
pub fn run(program: &Path, count: usize) -> ! {
    let program = CString::new(program.as_os_str().as_bytes()).expect("no NUL in a path");
    let strings: Vec<CString> = std::env::vars_os()
        .filter_map(|(name, value)| CString::new([name.as_bytes(), b"=", value.as_bytes()].concat()).ok())
        .collect();
    let environment = strings.iter().map(|string| string.as_ptr()).chain([null()]).collect();
    let order = Exec { arguments: [program.as_ptr(), null()], program, environment };
    let mut stack = vec![0; STACK_SIZE];
    for _ in 0..count {
        start(&order, &mut stack);
    }
    loop {
        // SAFETY: waits for any child, and wants no status.
        if unsafe { libc::waitpid(-1, std::ptr::null_mut(), 0) } > 0 {
            start(&order, &mut stack);
        }
    }
}
