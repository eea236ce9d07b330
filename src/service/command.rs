//! A command: what `supervise -f` and `-u` run, and its `-r`.

use super::context::Resolved;
use super::exec_failure;
use super::streams::Streams;
use super::telling::Telling;
use crate::sys::files::file;
use crate::sys::process::record::RecordWriter;
use crate::sys::process::start::{
    Environment, Leader, Plan, StartError, Started, Step, WorkingDirectory, look_up, start,
};
use crate::sys::terminal;
use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A command, its words taken as they are.
#[derive(Clone, Debug)]
pub struct CommandLine {
    words: Vec<CString>,
    /// What is executed, if not what the first word names.
    file: Option<PathBuf>,
    restart_hook: Option<OsString>,
    environment: Arc<Environment>,
    /// Where it is started; `None`: where its supervisor is.
    directory: Option<CString>,
    role: Role,
}

/// What a command is to the program that runs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// What `supervise` was given.
    Supervised,
    /// One of the tree's own programs: it leads a session, as what a service directory has, and HUP means something to it.
    Ours,
    /// What the tree was given: it runs as if the shell had started it instead of the tree.
    OfTree,
}

impl CommandLine {
    /// The command that `words` say; `restart_hook` runs before each restart, through `sh -c`.
    ///
    /// # Errors
    /// A line for the user, when there is no word, or a word that is none.
    pub fn new(words: Vec<OsString>, restart_hook: Option<OsString>) -> Result<CommandLine, String> {
        let words: Result<Vec<CString>, _> = words.into_iter().map(|word| CString::new(word.into_vec())).collect();
        let words = words.map_err(|_| "the command has a NUL byte in it".to_string())?;
        if words.first().is_none_or(|first| first.is_empty()) {
            Err("the command is empty".into())
        } else {
            let environment = Environment::inherited();
            Ok(CommandLine { words, file: None, restart_hook, environment, directory: None, role: Role::Supervised })
        }
    }

    /// The command that the tree was given.
    ///
    /// # Errors
    /// As [`CommandLine::new`].
    pub fn of_tree(words: Vec<OsString>) -> Result<CommandLine, String> {
        CommandLine::new(words, None).map(|command| CommandLine { role: Role::OfTree, ..command })
    }

    /// One of the tree's own programs, executed from `file` if it is not what the first word names, and started in `directory`
    /// if there is one. That is entered before the change of user,
    /// who may not be allowed to come there by the path. A NUL byte, which no path and no line of a file has, ends a word.
    pub fn of_ours(
        words: impl IntoIterator<Item = OsString>,
        file: Option<PathBuf>,
        directory: Option<&Path>,
    ) -> CommandLine {
        let until_nul = |word: OsString| {
            let mut bytes = word.into_vec();
            bytes.truncate(bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len()));
            CString::new(bytes).unwrap_or_default()
        };
        CommandLine {
            words: words.into_iter().map(until_nul).collect(),
            file,
            restart_hook: None,
            environment: Environment::inherited(),
            directory: directory.map(file::c_path_or_empty),
            role: Role::Ours,
        }
    }

    pub(super) fn set_environment(&mut self, environment: Arc<Environment>) {
        self.environment = environment;
    }

    /// Checks that the program can be found and executed.
    ///
    /// # Errors
    /// The step and errno that a start would give.
    pub fn check(&self) -> Result<(), StartError> {
        self.program().map(drop)
    }

    /// Whether it is what the tree was given.
    pub fn is_of_tree(&self) -> bool {
        self.role == Role::OfTree
    }

    /// The first word.
    pub fn name(&self) -> String {
        self.words.first().map_or(String::new(), |first| first.to_string_lossy().into_owned())
    }

    /// The words, with blanks between.
    pub fn describe(&self) -> String {
        let words: Vec<_> = self.words.iter().map(|word| word.to_string_lossy()).collect();
        words.join(" ")
    }

    /// Found anew for each start, as `execvp` does: it may have been installed somewhere else meanwhile.
    fn program(&self) -> Result<CString, StartError> {
        let first = self.words.first().map_or(OsStr::new(""), |word| OsStr::from_bytes(word.as_bytes()));
        let name = self.file.as_ref().map_or(first, |file| file.as_os_str());
        let path = look_up(name).map_err(|errno| StartError { step: Step::Exec, errno })?;
        Ok(file::c_path_or_empty(&path))
    }

    /// The cause of `error`, where `errno` alone does not say it.
    pub(super) fn explain(&self, error: StartError) -> Option<String> {
        let first = self.words.first()?.to_string_lossy();
        match self.program() {
            Ok(program) => exec_failure::explain(Path::new(OsStr::from_bytes(program.as_bytes())), error),
            Err(_) if self.file.is_none() && !first.contains('/') => {
                exec_failure::explain_search(&first, &std::env::var_os("PATH").unwrap_or_default(), error)
            }
            Err(_) => exec_failure::explain(Path::new(&*first), error),
        }
    }

    fn absolute_program(&self) -> Result<CString, StartError> {
        let program = self.program()?;
        let path = std::path::absolute(OsStr::from_bytes(program.as_bytes()));
        Ok(path.map_or(program, |path| file::c_path_or_empty(&path)))
    }

    /// Runs it in a process group of its own, if anybody needs that. A group that is not its supervisor's becomes
    /// an orphaned one when that ends, and the kernel then ends what is stopped in it.
    pub(super) fn run(
        &self,
        (streams, telling): (&Streams, &Telling),
        recorder: RecordWriter<'_>,
        own_group: bool,
        context: Option<&Resolved>,
    ) -> Result<Started, StartError> {
        let leads = match (self.role, own_group) {
            (Role::Ours, _) => Leader::Session,
            // In a group of its own, it would be in the background of the terminal.
            (Role::OfTree, _) if terminal::controls_us() => Leader::Nothing,
            (Role::Supervised, true) | (Role::OfTree, _) => Leader::Group,
            (Role::Supervised, false) => Leader::Nothing,
        };
        // With a working directory of its own, what is found by a relative path is not found from there.
        let elsewhere = self.directory.is_some() || context.is_some_and(|context| context.change.directory.is_some());
        let program = if elsewhere { self.absolute_program()? } else { self.program()? };
        self.execute(&program, &self.words, (streams, telling.fourth()), recorder, (leads, context))
    }

    pub(super) fn restart_hook(
        &self,
        streams: &Streams,
        exits: u32,
        recorder: RecordWriter<'_>,
    ) -> Result<Option<Started>, StartError> {
        let Some(hook) = &self.restart_hook else { return Ok(None) };
        let mut script = hook.clone().into_vec();
        script.extend_from_slice(format!(" {exits}").as_bytes());
        let script = CString::new(script).unwrap_or_default();
        let words = [c"sh".to_owned(), c"-c".to_owned(), script];
        self.execute(c"/bin/sh", &words, (streams, None), recorder, (Leader::Group, None)).map(Some)
    }

    fn execute(
        &self,
        program: &std::ffi::CStr,
        arguments: &[CString],
        (streams, fourth): (&Streams, Option<(&std::ffi::CStr, i32)>),
        recorder: RecordWriter<'_>,
        (leads, context): (Leader, Option<&Resolved>),
    ) -> Result<Started, StartError> {
        let environment = context.map_or(&*self.environment, |context| &*context.environment);
        let directory = self.directory.as_deref();
        start(&Plan {
            shell_fallback: true,
            leads,
            directory: directory.map(|path| WorkingDirectory { path, expect: None, within: None }),
            change: context.map(|context| &context.change),
            ignores_hangup: self.role == Role::Supervised,
            recorder: Some(recorder),
            stdin: streams.stdin(),
            stdout: streams.stdout(),
            stderr: streams.stderr(),
            fourth,
            ..Plan::new(program, arguments, environment)
        })
    }
}
