//! Long help texts and examples.

/// After the one-line description.
pub const ABOUT: &str = "\
What would a program do if its system calls were issued another way?

ringscope replays what a real server did on a cycle-approximate model of a multi-core CPU and of the kernel, under five ways of \
reaching the kernel (sync, exception-less, batched-script, in-kernel-dsl, elevated-shortcut), and says where every cycle went.

Begin with `ringscope compare memcached`. Nothing needs to be installed or recorded first: some workloads come with the program.";

/// Examples of the program as a whole.
pub const EXAMPLES: &str = "\
Examples:
  ringscope compare memcached                         all five mechanisms on a recorded memcached
  ringscope compare nginx --machine zen4 --cores 4    another machine, more cores
  ringscope run redis --mechanism exception-less      one mechanism in depth
  ringscope advise nginx                              what to move first, what it takes, how sure that is
  ringscope import server.strace -o server.workload   your own server, recorded with strace
  ringscope explain indirect_cycles                   what a number means

Exit codes: 0 done; 1 a finding; 2 wrong usage, configuration or input; 3 a simulation failed; 130 interrupted.";

/// `compare`.
pub const COMPARE: &str = "\
Examples:
  ringscope compare memcached
  ringscope compare nginx --connections 256 --cores 4 --machine zen4
  ringscope compare redis --mechanism exception-less,elevated-shortcut --json -o redis.csv
  ringscope compare memcached --set kernel.mitigations=default --set machine.l2.size_kib=512
  ringscope compare memcached --set 'machine.crossing.*=0'      crossings cost nothing: what is left?

The table: requests/s is the throughput that the clients see; speed-up is against sync, with its 95 % interval, paired over seeds; \
CPI is cycles per instruction in user and kernel mode; crossings, direct, indirect and mechanism are per request, in cycles where \
not counted. `ringscope explain direct_cycles` and so on say what exactly is in a number.";

/// `run`.
pub const RUN: &str = "\
Examples:
  ringscope run memcached --mechanism exception-less
  ringscope run nginx --mechanism sync --shadow           also what each mode would miss alone
  ringscope run redis --mechanism elevated-shortcut --set mechanism.elevated_shortcut.depth=protocol
  ringscope run memcached --json | jq .cycle_stack
  ringscope run nginx --mechanism exception-less --cores 2 --timeline out.json    open it at ui.perfetto.dev
  ringscope run null-call:32 --mechanism exception-less --folded out.folded       for flame-graph tools";

/// `tui`.
pub const TUI: &str = "\
Knobs on the left, answers on the right. A first answer of brief runs comes at once; then seed after seed comes in until the view shows \
what `ringscope compare` prints. `?` shows all keys, `c` the command that gives the same answer.

Examples:
  ringscope tui memcached
  ringscope tui nginx --cores 4 --connections 768 --theme light
  ringscope tui --config memcached.ron                   a scenario that was saved with `s`";

/// `report`.
pub const REPORT: &str = "\
Without -o and --plots the points are printed as a table. The page needs no network and no scripts.

Examples:
  ringscope report results.jsonl -o report.html -o points.csv
  ringscope report results.jsonl -o report.html --x cores --at 4      cores along the axis, details at 4 cores
  ringscope report shard-1.jsonl shard-2.jsonl --plots plots          each plot as an SVG file
  ringscope compare memcached --cores 1 -o 1.json; ringscope compare memcached --cores 4 -o 4.json
  ringscope report 1.json 4.json -o cores.html                        comparisons side by side";

/// `diff`.
pub const DIFF: &str = "\
Points are matched by what the files vary; a single run is compared with any other single run. A change of a metric that has an \
interval counts when the 95 % interval of the change does not hold zero (Welch); other metrics count only with --tolerance. \
Exit code 0 when nothing counts, 1 when something does, 2 when a file can't be used.

Examples:
  ringscope diff before.jsonl after.jsonl
  ringscope diff sync.json elevated.json -v                all metrics, the largest changes first
  ringscope diff base.json new.json --tolerance 1% -q      for scripts: look at the exit code
  ringscope diff base.json new.json -o differences.html";

/// `study null-call`.
pub const NULL_CALL: &str = "\
Examples:
  ringscope study null-call
  ringscope study null-call --machine zen4 -o null-call.svg -o null-call.csv
  ringscope study null-call --call pread64        a call with a file layer: elevated by depth

The times are elapsed time per call of a loop, with the loop's own recorded user work. A batch is what one run of the loop issues \
without depending on a result: a synchronous program gains nothing from it.";

/// `calibrate`.
pub const CALIBRATE: &str = "\
Takes about a minute, and needs neither root nor hardware counters. Each value is measured, inferred (from other values, or reported by \
the processor) or kept from the nearest preset because this host can't tell. Runs best on a quiet host: the spread says how quiet it \
was. docs/calibrate.md says what is measured and how.

Examples:
  ringscope calibrate -o host.ron
  ringscope compare memcached --machine host.ron --config host.kernel.ron
  ringscope calibrate --quick                 a first look, nothing is written
  ringscope calibrate --json | jq '.measurements.series[].name'";

/// `validate papers`.
pub const VALIDATE_PAPERS: &str = "\
Uses of a row: INPUT goes into the model, CAL may be fitted, PRED is never fitted to and is what counts, SANITY is only shown. \
Exit code 1 when a row that held in the baseline that comes with the program no longer holds.

Examples:
  ringscope validate papers                          all rows, with a summary of the predictions
  ringscope validate papers --only A13,A17,S1        some rows
  ringscope validate papers -o report.html           also the papers' figures with the model's points
  ringscope validate papers --ablation no-pollution  which rows hold without pollution";

/// `validate host`.
pub const VALIDATE_HOST: &str = "\
Small real programs run on this host: their server phase is timed apart from clients', variants in turn, in several processes. The \
model is anchored in parts that are measured apart (a null call, a call that follows itself, entries that do nothing, user work alone) \
and then says what they cost together; no curve that it is compared with goes into it. Ratios are compared: io_uring against \
synchronous calls, interrupted work against work alone. A point is inconclusive when its measurements spread over 4 %. Where there are \
hardware counters, cycles, instructions and misses per structure and mode are shown beside the model's, without a verdict.

Examples:
  ringscope validate host                                  all cases, on this host as a brief calibration finds it
  ringscope validate host --machine host.ron -o host.html  under a machine that `ringscope calibrate` has measured, with curves
  ringscope validate host --only read-loop,udp --quick     some cases, a short look
  ringscope validate host --keep measured.json             keeps what was measured; --kept measured.json takes it again";

/// `sweep`.
pub const SWEEP: &str = "\
Each value of an axis is run with each of every other axis; axes given with --zip go together. What is common to points that differ \
in the mechanism only is their clients: the speed-up against sync is paired over seeds, where sync is among them.

Ctrl-C lets the simulations under way end, keeps what is finished and says how to go on. A finished file is the same bytes whatever \
the threads, interruptions and shards. Exit code 3 when points failed, which are listed.

Examples:
  ringscope sweep memcached --vary cores=1,2,4 --vary connections=1..1024:x2 --vary mechanism=all -o m.jsonl
  ringscope sweep redis --vary machine.l2.size_kib=256,512 --vary mechanism=sync,exception-less --precision 1%
  ringscope sweep nginx --zip cores=1,2,4 --zip connections=64,128,256 --mechanism exception-less
  ringscope sweep --sweep study.ron --dry-run            the points, and how long they will take
  ringscope sweep … -o m.jsonl --resume                  go on after Ctrl-C, a crash or a full disk
  ringscope sweep … --shard 3/8 -o part-3.jsonl          the third of eight parts, on another machine";

/// `merge`.
pub const MERGE: &str = "\
The result is the file that the whole sweep would have written, byte for byte. Parts of different sweeps are refused, and missing \
points are named.

Examples:
  ringscope merge part-*.jsonl -o m.jsonl
  ringscope merge part-1.jsonl part-2.jsonl -o m.jsonl --incomplete";

/// `advise`.
pub const ADVISE: &str = "\
A gain is called one only when the lower end of its 95 % interval, with the mechanism's estimated work taken twice, exceeds a stated \
margin for the model's own error. Otherwise the advice is to stay, or that the evidence cannot tell, and what would settle it. Seeds of \
the finals are others than those of the search. docs/advise.md says how the judgement is made.

Examples:
  ringscope advise memcached
  ringscope advise server.strace.gz --connections 256 --cores 4
  ringscope advise nginx --mechanism exception-less:io-uring,batched-script:io-uring-enter    what a stock kernel offers
  ringscope advise redis --rate 20000 --json -o advice.json";

/// `replay`.
pub const REPLAY: &str = "\
Nothing is reordered, renamed or scheduled: references and misses of exactly this trace, per structure and mode.

Examples:
  ringscope replay server.trace --machine zen4
  ringscope replay server.trace --shadow=full --json
  valgrind --tool=lackey --trace-mem=yes --log-file=ls.lackey ls; ringscope replay ls.lackey
  ringscope replay server.trace --ledger off --timing     as fast as it goes, and how fast that is";

/// `dsl check`.
pub const DSL_CHECK: &str = "\
Nothing is simulated. Exit code 2 when the service is refused.

Examples:
  ringscope dsl check service.wyki
  ringscope dsl check service.wyki --without inline-parsing --stretch 500
  ringscope dsl check service.wyki --json | jq .longest_stretch_instructions";

/// `import`.
pub const IMPORT: &str = "\
Examples:
  strace -f -ttt -T -yy -o server.strace ./server …
  ringscope import server.strace -o server.workload
  ringscope compare server.workload

A recording can be given to `compare` and `run` directly too; a workload file saves the time of reading it again.";

/// `explain`.
pub const EXPLAIN: &str = "\
Examples:
  ringscope explain exception-less
  ringscope explain kernel.fetch_l2
  ringscope explain batch.limited_by
  ringscope explain machine.crossing.drain_cycles";

/// `config show`.
pub const CONFIG_SHOW: &str = "\
Later layers win: preset < ringscope.ron in the current folder < --config FILE.ron < options such as --cores < --set.

Examples:
  ringscope config show
  ringscope config show machine.l2 --machine zen4
  ringscope config show run --origin --cores 4 --set run.reps=5
  ringscope config template > ringscope.ron";

/// `script check`.
pub const SCRIPT_CHECK: &str = "\
Errors are shown with their line; exit code 2 when there are any. A script is also run against a kernel that only answers, so that
misuse which no reading finds is found too.

Examples:
  ringscope script check examples/scripts/nginx-chain.lua
  ringscope run nginx --mechanism batched-script --script examples/scripts/nginx-chain.lua";

/// `completions`.
pub const COMPLETIONS: &str = "\
Examples:
  ringscope completions bash > ~/.local/share/bash-completion/completions/ringscope
  ringscope completions zsh > ~/.zfunc/_ringscope
  ringscope completions fish > ~/.config/fish/completions/ringscope.fish";
