//! The processes: started, listened to, killed, replaced.

use std::{
    io::{self, BufRead, BufReader, Write},
    ops::Range,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, TrySendError, channel, sync_channel},
    time::Duration,
};

use super::{
    ChaosArgs,
    ledger::{Kind, Ledger},
};
use crate::{failure::Failure, host::Stopwatch};

/// What is heard: which process said it, and what; `None` once it can say no more.
type Heard = (u64, Option<String>);

/// The processes of a run.
pub struct Family<'a> {
    args: &'a ChaosArgs,
    path: &'a Path,
    watch: Stopwatch,
    pub ledger: Ledger,
    members: Vec<Option<Member>>,
    born_count: u64,
    say: Sender<Heard>,
    heard: Receiver<Heard>,
}

struct Member {
    /// No other process of the run has it.
    number: u64,
    child: Child,
    /// What it is told: only the newest matters, so that one that does not listen holds nobody up. Dropping it asks
    /// the process to leave.
    tell: Option<SyncSender<String>>,
    writers: Range<usize>,
    readers: Range<usize>,
}

/// How a process ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    Killed,
    InOrder,
}

impl<'a> Family<'a> {
    pub fn new(args: &'a ChaosArgs, path: &'a Path) -> Self {
        let (say, heard) = channel();
        Self {
            args,
            path,
            watch: Stopwatch::start(),
            ledger: Ledger::new(usize::from(args.writers), usize::from(args.readers)),
            members: std::iter::repeat_with(|| None).take(usize::from(args.processes)).collect(),
            born_count: 0,
            say,
            heard,
        }
    }

    pub fn now(&self) -> Duration {
        self.watch.elapsed()
    }

    /// Starts the process with this index; it must not be there.
    pub fn start(&mut self, index: usize) -> Result<(), Failure> {
        let processes = usize::from(self.args.processes);
        let share = |all: u16| {
            let all = usize::from(all);
            index * all / processes..(index + 1) * all / processes
        };
        let (writers, readers) = (share(self.args.writers), share(self.args.readers));
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("chaos-process").arg("--db").arg(self.path);
        let numbers = [
            ("--all-writers", usize::from(self.args.writers)),
            ("--first-writer", writers.start),
            ("--writers", writers.len()),
            ("--first-reader", readers.start),
            ("--readers", readers.len()),
            ("--patience", usize::from(self.args.patience)),
        ];
        for (name, number) in numbers {
            command.arg(name).arg(number.to_string());
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        self.born_count += 1;
        let number = self.born_count;
        listen(number, child.stdout.take(), self.say.clone());
        let tell = Some(tell_newest(child.stdin.take()));
        self.ledger.begins(writers.clone(), readers.clone(), self.now());
        self.members[index] = Some(Member { number, child, tell, writers, readers });
        Ok(())
    }

    /// Listens to all until `until`, and tells each how far the writers have come.
    pub fn listen_until(&mut self, until: Duration, is_asked: &dyn Fn() -> bool) -> Result<(), Failure> {
        while self.now() < until && !is_asked() && self.ledger.problems().len() < PROBLEMS_MAX {
            self.tell();
            let round = until.min(self.now() + TELL_EVERY);
            while let Some(left) = round.checked_sub(self.now()).filter(|left| !left.is_zero()) {
                match self.heard.recv_timeout(left) {
                    Ok((number, line)) => self.take(number, line)?,
                    Err(RecvTimeoutError::Timeout) => break,
                    Err(RecvTimeoutError::Disconnected) => unreachable_listener(),
                }
            }
            self.ledger.look_for_stuck(self.now(), self.args.patience());
        }
        Ok(())
    }

    fn tell(&self) {
        let known: Vec<String> = self.ledger.known().iter().map(u64::to_string).collect();
        let known = known.join(" ");
        for member in self.members.iter().flatten() {
            match member.tell.as_ref().map(|tell| tell.try_send(known.clone())) {
                // It has not read the last one yet; or it is gone, which will be heard.
                None | Some(Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_))) => {}
            }
        }
    }

    fn take(&mut self, number: u64, line: Option<String>) -> Result<(), Failure> {
        match line {
            Some(line) => self.ledger.hear(&line, self.now()),
            None => {
                // Nobody asked it to go: those who are asked are listened to until their end.
                let index = self
                    .members
                    .iter()
                    .position(|member| member.as_ref().is_some_and(|member| member.number == number));
                if let Some(index) = index
                    && let Some(mut member) = self.members[index].take()
                {
                    let status = member.child.wait()?;
                    self.ledger.ends(member.writers, member.readers, true);
                    self.ledger.problem(Kind::Failed, format!("process {index} ended by itself: {status}"));
                    self.start(index)?;
                }
            }
        }
        Ok(())
    }

    /// Ends some processes together, and takes down the last that they have said.
    pub fn end(&mut self, indexes: Range<usize>, end: End) -> Result<(), Failure> {
        let mut gone = Vec::new();
        for index in indexes {
            let Some(mut member) = self.members[index].take() else { continue };
            match end {
                End::Killed => member.child.kill()?,
                End::InOrder => drop(member.tell.take()),
            }
            gone.push((index, member));
        }
        if end == End::Killed {
            self.ledger.killed(self.now());
        }
        self.listen_to_the_last(&mut gone, end)?;
        for (index, mut member) in gone {
            let status = member.child.wait()?;
            if end == End::InOrder && !status.success() {
                self.ledger
                    .problem(Kind::Failed, format!("process {index} could not leave in order: {status}"));
            }
            self.ledger.ends(member.writers, member.readers, end == End::Killed);
        }
        Ok(())
    }

    /// Takes down what is said until these have said their last; who does not come to an end is killed.
    fn listen_to_the_last(&mut self, gone: &mut [(usize, Member)], end: End) -> Result<(), Failure> {
        let until = self.now() + self.args.patience();
        let mut silent: Vec<u64> = gone.iter().map(|(_, member)| member.number).collect();
        while !silent.is_empty() {
            match self.heard.recv_timeout(until.saturating_sub(self.now())) {
                Ok((number, None)) if silent.contains(&number) => silent.retain(|other| *other != number),
                Ok((number, line)) => self.take(number, line)?,
                Err(RecvTimeoutError::Timeout) => {
                    for (index, member) in
                        gone.iter_mut().filter(|(_, member)| silent.contains(&member.number))
                    {
                        if end == End::InOrder {
                            self.ledger.problem(Kind::Stuck, format!("process {index} did not leave"));
                        }
                        member.child.kill()?;
                    }
                    break;
                }
                Err(RecvTimeoutError::Disconnected) => unreachable_listener(),
            }
        }
        Ok(())
    }
}

impl Drop for Family<'_> {
    fn drop(&mut self) {
        for member in self.members.iter_mut().flatten() {
            // It may have died already; then there is nothing to kill, and waiting returns at once.
            let _ = member.child.kill();
            let _ = member.child.wait();
        }
    }
}

/// How many problems are enough.
pub const PROBLEMS_MAX: usize = 100;

/// How often processes are told how far the writers have come.
const TELL_EVERY: Duration = Duration::from_millis(50);

fn unreachable_listener() -> ! {
    unreachable!("the family keeps a sender of its own")
}

/// Passes on what a process says. A line without its end was being said when it was killed.
fn listen(number: u64, stdout: Option<impl io::Read + Send + 'static>, say: Sender<Heard>) {
    std::thread::spawn(move || {
        let mut lines = stdout.map(BufReader::new);
        let mut line = String::new();
        while let Some(lines) = &mut lines {
            line.clear();
            let read = lines.read_line(&mut line);
            if read.is_err()
                || !line.ends_with('\n')
                || say.send((number, Some(line.trim_end().to_owned()))).is_err()
            {
                break;
            }
        }
        // The parent may be gone as well.
        let _ = say.send((number, None));
    });
}

/// Passes on what a process is told, until there is no more to tell.
fn tell_newest(stdin: Option<impl Write + Send + 'static>) -> SyncSender<String> {
    let (tell, told) = sync_channel::<String>(1);
    std::thread::spawn(move || {
        let Some(mut stdin) = stdin else { return };
        for line in told {
            if stdin.write_all(format!("{line}\n").as_bytes()).is_err() {
                return;
            }
        }
    });
    tell
}
