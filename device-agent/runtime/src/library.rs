//! The loaded modules of this worker: one for all guests of the same artifact.
//!
//! Guests share code and constant data, which nobody writes to, and nothing else: memory,
//! globals and tables are an instance's own. Whether two artifacts are the same is told by
//! all their bytes, so no hash stands between a guest and another's code. A module goes
//! with its last guest.

use std::rc::{Rc, Weak};
use wamr::{LoadError, Module, Runtime};

pub struct Library<'r> {
    runtime: &'r Runtime,
    modules: Vec<Weak<Module<'r>>>,
}

impl<'r> Library<'r> {
    pub fn new(runtime: &'r Runtime) -> Self {
        Self { runtime, modules: Vec::new() }
    }

    pub fn load(&mut self, artifact: &[u8]) -> Result<Rc<Module<'r>>, LoadError> {
        let of_artifact = |module: &Rc<Module<'r>>| module.is_of(artifact);
        if let Some(module) = self.modules.iter().filter_map(Weak::upgrade).find(of_artifact) {
            return Ok(module);
        }
        let module = Rc::new(Module::load(self.runtime, artifact)?);
        self.modules.retain(|module| module.strong_count() > 0);
        self.modules.push(Rc::downgrade(&module));
        Ok(module)
    }
}
