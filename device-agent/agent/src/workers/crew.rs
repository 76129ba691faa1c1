//! The modules of one worker process, and until when it has to answer for each.

use super::process::Patience;
use crate::install::WorkerId;
use std::collections::BTreeMap;
use tokio::time::Instant;
use worker_protocol::{Command, Event as Message, GuestId};

pub struct Crew {
    members: BTreeMap<GuestId, Member>,
    patience: Patience,
    /// The process was told to end with all of them.
    is_stopping: bool,
}

struct Member {
    worker: WorkerId,
    /// For people.
    app: String,
    watch: Watch,
    /// Its call ran over its time, and nothing has been heard of it since.
    holds: bool,
}

impl Crew {
    pub fn new((guest, worker, app): (GuestId, WorkerId, String), patience: Patience) -> Self {
        let mut crew = Self { members: BTreeMap::new(), patience, is_stopping: false };
        crew.join(guest, worker, app);
        crew
    }

    pub fn join(&mut self, guest: GuestId, worker: WorkerId, app: String) {
        let watch = Watch::new(self.patience);
        self.members.insert(guest, Member { worker, app, watch, holds: false });
    }

    pub fn app_of(&self, guest: GuestId) -> Option<&str> {
        self.members.get(&guest).map(|member| member.app.as_str())
    }

    pub fn leave(&mut self, guest: GuestId) -> Option<WorkerId> {
        self.members.remove(&guest).map(|member| member.worker)
    }

    pub fn workers(&self) -> Vec<WorkerId> {
        self.members.values().map(|member| member.worker).collect()
    }

    pub fn is_last(&self, guest: GuestId) -> bool {
        self.members.keys().all(|other| *other == guest)
    }

    pub fn is_stopping(&self) -> bool {
        self.is_stopping
    }

    pub fn watch(&mut self, guest: GuestId) -> Option<&mut Watch> {
        self.members.get_mut(&guest).map(|member| &mut member.watch)
    }

    /// Whether only the end of the process can end this one.
    pub fn holds(&self, guest: GuestId) -> bool {
        self.members.get(&guest).is_some_and(|member| member.holds)
    }

    /// What is to be said to the worker so that this one ends. With the last one that was
    /// not told to end already, the process does.
    pub fn end(&mut self, guest: GuestId) -> Command {
        if let Some(member) = self.members.get_mut(&guest) {
            member.watch.is_ending = true;
        }
        if self.members.values().all(|member| member.watch.is_ending) {
            self.is_stopping = true;
            return Command::Stop;
        }
        Command::Unload
    }

    /// Whose message it is.
    pub fn hear(&mut self, guest: GuestId, message: &Message) -> Option<WorkerId> {
        let member = self.members.get_mut(&guest)?;
        member.watch.hear(message);
        match message {
            Message::Overrun { .. } => member.holds = true,
            // Its call has ended after all.
            Message::Trapped { .. } | Message::LimitStop { .. } | Message::Published(_) => {
                member.holds = false;
            }
            _ => {}
        }
        Some(member.worker)
    }

    /// When the process has broken its word to one of them.
    pub fn deadline(&self) -> Option<Instant> {
        self.members.values().filter_map(|member| member.watch.deadline()).min()
    }

    /// Each with whether it is to be blamed that the process is gone. Where nobody is
    /// found to be, nobody can be cleared either; and one that was told to end, or is
    /// alone, has nobody else to thank.
    pub fn verdicts(self, culprit: Option<GuestId>) -> Vec<(WorkerId, bool)> {
        let is_known = culprit.is_some_and(|culprit| self.members.contains_key(&culprit));
        let is_alone = self.members.len() == 1;
        let verdict = |(guest, member): (GuestId, Member)| {
            let is_cleared = is_known && culprit != Some(guest);
            (member.worker, is_alone || member.watch.is_ending || !is_cleared)
        };
        self.members.into_iter().map(verdict).collect()
    }
}

/// Until when a module's worker has to answer for it.
pub struct Watch {
    patience: Patience,
    is_ending: bool,
    usage_by: Option<Instant>,
    load_by: Option<Instant>,
    stop_by: Option<Instant>,
}

impl Watch {
    pub fn new(patience: Patience) -> Self {
        Self { patience, is_ending: false, usage_by: None, load_by: None, stop_by: None }
    }

    pub fn note_order(&mut self, command: &Command) {
        let now = Instant::now();
        match command {
            Command::Load(_) => self.load_by = Some(now + self.patience.load),
            Command::ReportUsage => {
                self.usage_by.get_or_insert(now + self.patience.answer);
            }
            Command::Stop => {
                self.stop_by.get_or_insert(now + self.patience.stop);
            }
            Command::Unload => {
                self.stop_by.get_or_insert(now + self.patience.unload);
            }
            Command::RunChecks { .. }
            | Command::Start { .. }
            | Command::SetClock(_)
            | Command::RunTicks { .. }
            | Command::Answer(_)
            | Command::Deliver(_) => {}
        }
    }

    fn hear(&mut self, message: &Message) {
        match message {
            Message::Usage(_) => self.usage_by = None,
            Message::Loaded { .. } | Message::LoadFailed { .. } => {
                self.load_by = None;
                // It may not have been able to answer until now.
                self.usage_by = self.usage_by.map(|_| Instant::now() + self.patience.answer);
            }
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let usage_by = if self.load_by.is_some() { None } else { self.usage_by };
        [usage_by, self.load_by, self.stop_by].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crew_of(numbers: &[u32]) -> Crew {
        let of = |number: &u32| (GuestId(*number), WorkerId(u64::from(*number) * 10));
        let (guest, worker) = of(&numbers[0]);
        let mut crew = Crew::new((guest, worker, "first".into()), Patience::default());
        for (guest, worker) in numbers[1..].iter().map(of) {
            crew.join(guest, worker, format!("m{guest}"));
        }
        crew
    }

    fn blamed(crew: Crew, culprit: Option<u32>) -> Vec<u64> {
        let verdicts = crew.verdicts(culprit.map(GuestId)).into_iter();
        verdicts.filter(|(_, is_to_blame)| *is_to_blame).map(|(worker, _)| worker.0).collect()
    }

    #[test]
    fn the_one_whose_call_ran_is_blamed_and_all_where_nobody_is_known() {
        assert_eq!(blamed(crew_of(&[1, 2, 3]), Some(2)), [20]);
        assert_eq!(blamed(crew_of(&[1, 2, 3]), None), [10, 20, 30]);
        assert_eq!(blamed(crew_of(&[1, 2, 3]), Some(7)), [10, 20, 30], "it has left");
        assert_eq!(blamed(crew_of(&[1]), Some(7)), [10]);
        let mut crew = crew_of(&[1, 2, 3]);
        assert_eq!(crew.end(GuestId(3)), Command::Unload);
        assert_eq!(blamed(crew, Some(2)), [20, 30], "it was to end anyway");
    }

    #[test]
    fn the_process_ends_with_the_last_of_its_modules() {
        let mut crew = crew_of(&[1, 2]);
        assert_eq!((crew.end(GuestId(1)), crew.is_stopping()), (Command::Unload, false));
        assert_eq!((crew.end(GuestId(2)), crew.is_stopping()), (Command::Stop, true));
        let mut crew = crew_of(&[0]);
        assert_eq!(crew.end(GuestId::ONLY), Command::Stop);
        assert!(crew.is_last(GuestId::ONLY));
    }

    #[test]
    fn only_a_module_that_is_over_its_time_holds_the_process() {
        let mut crew = crew_of(&[1, 2]);
        let overrun = Message::Overrun { export: "tick".into(), elapsed_ms: 5 };
        assert_eq!(crew.hear(GuestId(2), &overrun), Some(WorkerId(20)));
        assert!(crew.holds(GuestId(2)) && !crew.holds(GuestId(1)));
        assert_eq!(crew.hear(GuestId(9), &overrun), None);
    }
}
