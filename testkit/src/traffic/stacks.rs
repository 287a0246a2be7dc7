//! Stack traces as a service in production prints them.

use fastrand::Rng;

use super::catalog::{FAILURES, Values};

/// How many different stacks the service produces.
const STACKS: usize = 30;

const MODULES: [&str; 12] = [
    "orders/service",
    "orders/repository",
    "cart/service",
    "cart/prices",
    "items/controller",
    "items/search",
    "payment/client",
    "payment/retry",
    "users/session",
    "db/pool",
    "db/transaction",
    "http/router",
];

const FUNCTIONS: [&str; 14] = [
    "load",
    "findById",
    "computeTotal",
    "applyDiscount",
    "charge",
    "acquire",
    "execute",
    "commit",
    "handle",
    "dispatch",
    "validate",
    "render",
    "resolve",
    "withRetry",
];

const RUNTIME: [&str; 6] = [
    "    at process.processTicksAndRejections (node:internal/process/task_queues:95:5)",
    "    at async Promise.all (index 0)",
    "    at Layer.handle (/srv/shop/node_modules/express/lib/router/layer.js:95:5)",
    "    at next (/srv/shop/node_modules/express/lib/router/route.js:144:13)",
    "    at Socket.emit (node:events:517:28)",
    "    at TCP.onStreamRead (node:internal/stream_base_commons:190:23)",
];

/// One stack: the status it leads to, and the template of its text.
#[derive(Debug)]
pub(crate) struct Stack {
    pub(crate) status: u16,
    text: String,
}

impl Stack {
    /// Appends the stack with the values of a request.
    pub(crate) fn render(&self, values: &Values, random: &mut Rng, out: &mut String) {
        values.render(&self.text, random, out);
    }
}

/// Every stack of the service: a failure and the 10 to 20 frames that lead to it.
pub(crate) fn stacks(random: &mut Rng) -> Vec<Stack> {
    let failures = FAILURES.iter().cycle().take(STACKS);
    failures
        .map(|(status, message)| {
            let frames = 10 + random.usize(..11);
            let text = (0..frames).fold((*message).to_owned(), |text, depth| {
                let runtime = depth * 3 > frames * 2 || random.u8(..4) == 0;
                text + "\n" + &if runtime { runtime_frame(random) } else { own_frame(random) }
            });
            Stack { status: *status, text }
        })
        .collect()
}

fn runtime_frame(random: &mut Rng) -> String {
    random.choice(RUNTIME).unwrap_or_default().to_owned()
}

fn own_frame(random: &mut Rng) -> String {
    let module = random.choice(MODULES).unwrap_or_default();
    let function = random.choice(FUNCTIONS).unwrap_or_default();
    let (line, column) = (10 + random.u32(..400), 5 + random.u32(..40));
    format!("    at {function} (/srv/shop/dist/{module}.js:{line}:{column})")
}
