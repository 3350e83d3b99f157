//! How programs call: learned by `learn.py` from recordings, and multiplied.
//!
//! The model has some hundred functions. Where more are asked for, those in
//! Python get variants (`json.decoder` becomes `json.decoder_2`) that mostly
//! call each other, as the parts of a large program do; C functions are shared.

use anyhow::{Context, Result, ensure};
use rtrace_format::symbol::FIRST_ID;
use rtrace_format::{Symbol, SymbolKind};

/// Ticks of the trace's clock in a microsecond: a counter of 2.5 GHz.
pub const TICKS_PER_US: u64 = 2500;

const LEARNED: &str = include_str!("../calls.model");
/// Points between the learned quantiles, so that a choice is one look into a table.
const POINTS: usize = 64;

/// What is chosen from on each step of a call.
#[derive(Debug, Clone)]
pub struct Function {
    /// Whether it is written in C.
    pub is_c: bool,
    /// Its first line.
    pub line: u32,
    /// How likely it ends by an exception, in 2^-32.
    pub raises: u32,
    /// Quantiles of the ticks between two records in it.
    gaps: [u32; POINTS],
    /// What it does, as its number in [`Model::bodies`].
    bodies: Choice,
}

impl Function {
    /// Ticks until its next record.
    #[inline]
    pub fn gap(&self, random: &mut fastrand::Rng) -> u32 {
        self.gaps[random.usize(..POINTS)]
    }

    /// What it does this time.
    #[inline]
    pub fn body(&self, random: &mut fastrand::Rng) -> u32 {
        self.bodies.choose(random)
    }
}

/// The calls that a call makes.
#[derive(Debug, Clone, Default)]
pub struct Body {
    /// How many.
    pub count: u32,
    /// The first of them; then they begin anew.
    callees: Vec<u32>,
}

impl Body {
    /// The callee of call `at`.
    #[inline]
    pub fn callee(&self, at: u32) -> usize {
        self.callees[at as usize % self.callees.len()] as usize
    }
}

/// A weighted choice in constant time: Walker's alias method.
#[derive(Debug, Clone, Default)]
struct Choice(Vec<(u32, u32, u32)>);

impl Choice {
    fn new(weighted: &[(u32, u64)]) -> Choice {
        let total: u64 = weighted.iter().map(|&(_, weight)| weight).sum();
        let n = weighted.len() as f64;
        let mut shares: Vec<(u32, f64)> =
            weighted.iter().map(|&(at, w)| (at, w as f64 * n / total.max(1) as f64)).collect();
        let mut places = Vec::new();
        // Each place is filled by one of less than average and the rest by one of more.
        while let Some(small) = position(&shares, |share| share <= 1.0) {
            let (at, share) = shares.swap_remove(small);
            let Some(large) = position(&shares, |share| share > 1.0) else {
                places.push((u32::MAX, at, at));
                continue;
            };
            shares[large].1 -= 1.0 - share;
            places.push(((share * f64::from(u32::MAX)) as u32, at, shares[large].0));
        }
        places.extend(shares.iter().map(|&(at, _)| (u32::MAX, at, at)));
        Choice(places)
    }

    #[inline]
    fn choose(&self, random: &mut fastrand::Rng) -> u32 {
        let (share, own, other) = self.0[random.usize(..self.0.len())];
        if random.u32(..) <= share { own } else { other }
    }
}

fn position(shares: &[(u32, f64)], which: impl Fn(f64) -> bool) -> Option<usize> {
    shares.iter().position(|&(_, share)| which(share))
}

/// The functions and how they call each other.
#[derive(Debug)]
pub struct Model {
    /// Those of the model; the same for every variant.
    pub functions: Vec<Function>,
    /// What their calls do; the first does nothing.
    pub bodies: Vec<Body>,
    /// Every variant's symbol, at its id minus [`FIRST_ID`], then the exception types.
    pub symbols: Vec<Symbol>,
    /// How many variants of the functions in Python there are.
    pub variants: u32,
    /// What a thread's outermost loop calls.
    roots: Choice,
    /// Place of a function among those in Python.
    python: Vec<u32>,
    python_count: u32,
    /// The function that calls itself.
    pub descend: usize,
    /// The function that calls a leaf very often.
    pub sweep: usize,
    /// That leaf.
    pub leaf: usize,
    /// The function that a thread is in for ever, and what it waits in.
    pub serve: usize,
    /// See [`serve`](Model::serve).
    pub wait: usize,
    /// The first id of an exception type, and how many there are.
    pub exceptions: (u32, u32),
}

/// The functions that no recording taught: name, module, file, line, in C.
const MADE: [(&str, &str, &str, u32, bool); 5] = [
    ("descend", "app.tree", "/srv/app/tree.py", 12, false),
    ("sweep", "app.table", "/srv/app/table.py", 40, false),
    ("len", "builtins", "", 0, true),
    ("serve", "app", "/srv/app/app.py", 200, false),
    ("lock.acquire", "_thread", "", 0, true),
];

const EXCEPTIONS: [(&str, &str); 4] = [
    ("builtins", "ValueError"),
    ("builtins", "KeyError"),
    ("builtins", "TimeoutError"),
    ("app.errors", "Rejected"),
];

impl Model {
    /// The learned model, with at least `functions` functions.
    ///
    /// # Errors
    /// The model is not what `learn.py` writes.
    pub fn learned(functions: u32) -> Result<Model> {
        let mut model = Vec::new();
        let mut bodies = vec![Body::default()];
        let mut symbols = Vec::new();
        let mut roots = Vec::new();
        for (at, line) in LEARNED.lines().enumerate() {
            let parsed = parse(line, &mut bodies)
                .with_context(|| format!("line {} of the model", at + 1))?;
            if !parsed.0.is_c {
                roots.push((at as u32, parsed.2));
            }
            model.push(parsed.0);
            symbols.push(unlike(&symbols, parsed.1));
        }
        ensure!(!roots.is_empty(), "the model has no function in Python");
        let first_made = model.len();
        for (name, module, file, line, is_c) in MADE {
            let kind = if is_c { SymbolKind::C } else { SymbolKind::Python };
            model.push(made(is_c, line));
            let symbol = Symbol {
                first_line: line,
                file: file.into(),
                ..Symbol::named(kind, module.as_bytes(), name.as_bytes())
            };
            symbols.push(unlike(&symbols, symbol));
        }
        let python: Vec<u32> = model
            .iter()
            .scan(0, |next, function| {
                let at = *next;
                *next += u32::from(!function.is_c);
                Some(at)
            })
            .collect();
        let python_count = model.iter().filter(|function| !function.is_c).count() as u32;
        let more = functions.saturating_sub(model.len() as u32);
        let variants = 1 + more.div_ceil(python_count);
        let originals: Vec<Symbol> =
            symbols.iter().filter(|symbol| symbol.kind == SymbolKind::Python).cloned().collect();
        for variant in 2..=variants {
            symbols.extend(originals.iter().map(|symbol| {
                let module = [&symbol.module[..], format!("_{variant}").as_bytes()].concat();
                Symbol { module, ..symbol.clone() }
            }));
        }
        let exceptions = (FIRST_ID + symbols.len() as u32, EXCEPTIONS.len() as u32);
        symbols.extend(EXCEPTIONS.map(|(module, name)| {
            Symbol::named(SymbolKind::ExceptionType, module.as_bytes(), name.as_bytes())
        }));
        Ok(Model {
            functions: model,
            bodies,
            symbols,
            variants,
            roots: Choice::new(&roots),
            python,
            python_count,
            descend: first_made,
            sweep: first_made + 1,
            leaf: first_made + 2,
            serve: first_made + 3,
            wait: first_made + 4,
            exceptions,
        })
    }

    /// What a thread's outermost loop calls next.
    pub fn root(&self, random: &mut fastrand::Rng) -> usize {
        self.roots.choose(random) as usize
    }

    /// The id of a function's variant, from 0.
    #[inline]
    pub fn id(&self, function: usize, variant: u32) -> u32 {
        if variant == 0 || self.functions[function].is_c {
            return FIRST_ID + function as u32;
        }
        let before = self.functions.len() as u32 + (variant - 1) * self.python_count;
        FIRST_ID + before + self.python[function]
    }
}

/// The symbol, made unlike those before it: a reader takes what looks the same for one.
fn unlike(symbols: &[Symbol], mut symbol: Symbol) -> Symbol {
    let same = |a: &Symbol, b: &Symbol| {
        (a.kind, a.first_line) == (b.kind, b.first_line)
            && a.qualname == b.qualname
            && a.module == b.module
            && a.file == b.file
    };
    while symbols.iter().any(|other| same(other, &symbol)) {
        symbol.first_line += 1;
        if symbol.file.is_empty() {
            symbol.qualname.push(b'_');
        }
    }
    symbol
}

fn made(is_c: bool, line: u32) -> Function {
    let gaps = std::array::from_fn(|i| 200 + 20 * i as u32);
    Function { is_c, line, raises: 0, gaps, bodies: Choice::new(&[(0, 1)]) }
}

/// A line of the model: the function, its symbol, how often it was called. Adds to `bodies`.
fn parse(line: &str, bodies: &mut Vec<Body>) -> Result<(Function, Symbol, u64)> {
    let fields: Vec<&str> = line.split('\t').collect();
    let [name, module, file, first_line, kind, calls, unwinds, gaps, done] = fields[..] else {
        anyhow::bail!("{} fields instead of 9", fields.len());
    };
    let is_c = kind == "c";
    let (calls, unwinds) = (calls.parse::<u64>()?, unwinds.parse::<u64>()?);
    let gaps: Vec<f64> = gaps.split(',').map(str::parse).collect::<Result<_, _>>()?;
    ensure!(gaps.len() == 17, "{} quantiles instead of 17", gaps.len());
    let between = |points: &[f64], at: f64| {
        let low = (at * 16.0).floor().min(15.0);
        let part = at * 16.0 - low;
        points[low as usize] * (1.0 - part) + points[low as usize + 1] * part
    };
    let part = |i: usize| i as f64 / POINTS as f64;
    // A wait of seconds in one of a thousand calls would be most of the time: none is above 50 ms.
    let ticks = |ns: f64| (ns.clamp(1.0, 5e7) * TICKS_PER_US as f64 / 1000.0) as u32;
    let mut choice = Vec::new();
    for body in done.split(',') {
        let parts: Vec<&str> = body.split(':').collect();
        let [times, count, callees] = parts[..] else { anyhow::bail!("{body:?} is no body") };
        let callees = callees.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        choice.push((bodies.len() as u32, times.parse()?));
        bodies.push(Body { count: count.parse()?, callees });
    }
    let first_line = first_line.parse()?;
    let symbol_kind = if is_c { SymbolKind::C } else { SymbolKind::Python };
    let function = Function {
        is_c,
        line: first_line,
        raises: (unwinds as f64 / calls.max(1) as f64 * f64::from(u32::MAX)) as u32,
        gaps: std::array::from_fn(|i| ticks(between(&gaps, part(i)))),
        bodies: Choice::new(&choice),
    };
    let symbol = Symbol {
        first_line,
        file: file.into(),
        ..Symbol::named(symbol_kind, module.as_bytes(), name.as_bytes())
    };
    Ok((function, symbol, calls))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_keeps_to_its_weights() {
        let choice = Choice::new(&[(7, 1), (8, 10), (9, 89)]);
        let mut random = fastrand::Rng::with_seed(3);
        let mut seen = [0u32; 10];
        for _ in 0..100_000 {
            seen[choice.choose(&mut random) as usize] += 1;
        }
        assert!((800..1200).contains(&seen[7]), "{seen:?}");
        assert!((9_500..10_500).contains(&seen[8]), "{seen:?}");
        assert!((88_000..90_000).contains(&seen[9]), "{seen:?}");
    }

    #[test]
    fn variants_have_symbols_of_their_own() {
        let model = Model::learned(5000).unwrap();
        assert!(model.symbols.len() >= 5000);
        let mut ids: Vec<u32> = Vec::new();
        for variant in 0..model.variants {
            ids.extend((0..model.functions.len()).map(|at| model.id(at, variant)));
        }
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len() + EXCEPTIONS.len(), model.symbols.len());
        let named = &model.symbols[(model.id(model.descend, 1) - FIRST_ID) as usize];
        assert_eq!((&named.module[..], &named.qualname[..]), (&b"app.tree_2"[..], &b"descend"[..]));
    }
}
