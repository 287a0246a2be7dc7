//! The methods that loggers have in common, written once. Each logger shows them on its own page of
//! the documentation, where its users look for them.

/// The levels of messages, for a type with a `logger: Logger` and a method `source() -> LogSource`.
macro_rules! message_methods {
    () => {
        /// Logs data at CRITICAL.
        pub fn critical(&self, data: impl Serialize) {
            self.logger.message(self.source(), Level::Critical, &data);
        }

        /// Logs data at ERROR.
        pub fn error(&self, data: impl Serialize) {
            self.logger.message(self.source(), Level::Error, &data);
        }

        /// Logs data at WARN.
        pub fn warn(&self, data: impl Serialize) {
            self.logger.message(self.source(), Level::Warn, &data);
        }

        /// Logs data at INFO.
        pub fn info(&self, data: impl Serialize) {
            self.logger.message(self.source(), Level::Info, &data);
        }
    };
}

/// What every process can log, and the life of its logger, for a type with a `logger: Logger` and
/// the methods `source() -> LogSource` and `process() -> Process`.
macro_rules! process_methods {
    () => {
        /// Logs UNCAUGHT_EXCEPTION together with the DEBUG entries kept so far.
        pub fn uncaught_exception(&self, failure: &Failure) {
            self.logger.uncaught_exception(self.process(), failure);
        }

        crate::methods::message_methods!();

        /// Logs data at any level and writes it in any case, DEBUG and TRACE included: for messages
        /// that come from elsewhere. The service's own debug messages are better kept back by
        /// [`Self::debug`].
        pub fn log(&self, level: Level, data: impl Serialize) {
            self.logger.message(self.source(), level, &data);
        }

        /// Keeps data back in memory; the next [`Self::uncaught_exception`] writes it.
        pub fn debug(&self, data: impl Serialize) {
            self.logger.debug(&data);
        }

        /// From now on logs every panic of the process as UNCAUGHT_EXCEPTION, with its backtrace and
        /// the DEBUG entries kept so far, and has it written before the panic goes on. The panic hook
        /// that was there before runs afterwards.
        pub fn log_panics(&self) {
            endings::log_panics(self.logger.clone(), self.process());
        }

        /// From now on closes the logger when the process gets SIGTERM or SIGINT; then the signal
        /// ends the process as it would have done without this.
        ///
        /// For services that do not handle these signals themselves; those that do call
        /// [`Self::close`] in the end.
        ///
        /// # Errors
        ///
        /// Fails where the handler or its thread cannot be installed.
        pub fn close_on_signals(&self) -> std::io::Result<()> {
            endings::close_on_signals(self.logger.clone())
        }

        /// Waits until everything logged so far has been handed to the operating system.
        ///
        /// # Errors
        ///
        /// Says why the segment did not take it. The records stay in memory and are tried again.
        pub fn flush(&self) -> Result<(), FlushError> {
            self.logger.flush()
        }

        /// Waits until the background thread has done everything that is due by
        /// [`Clock::instant`](crate::Clock::instant), and rests. For simulations, whose clocks move
        /// only when they are told to; services have no use for it.
        pub fn settle(&self) {
            self.logger.settle();
        }

        /// Goes on in another segment, or in the newest segment of another store.
        ///
        /// What was logged before goes into the segment before. No record is lost or written twice.
        ///
        /// # Errors
        ///
        /// Fails where that segment cannot be joined; the logger then stays with the one it has.
        pub fn rotate(&self, path: impl AsRef<Path>) -> Result<(), OpenError> {
            self.logger.rotate(path.as_ref())
        }

        /// Writes what is buffered and closes this logger with all that log through it: its clones,
        /// and the loggers of requests that came from it. Later calls do nothing.
        ///
        /// # Errors
        ///
        /// Says why the last records could not be written; they are lost then. A disk that refuses
        /// them is tried for two seconds.
        pub fn close(&self) -> Result<(), FlushError> {
            self.logger.close()
        }

        /// Whether the logger is closed.
        pub fn closed(&self) -> bool {
            self.logger.closed()
        }

        fn step(&self, step: Lifecycle) {
            self.logger.log_now(Event::Lifecycle(step), Level::Info);
        }
    };
}

pub(crate) use {message_methods, process_methods};
