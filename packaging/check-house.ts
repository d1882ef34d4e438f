/**
 * Holds the rules of the house (docs/architecture.md) with dependency-cruiser, after proving on a tree that
 * breaks each of them that the check can fail at all.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { cruise, type ICruiseResult, type IForbiddenRuleType } from 'dependency-cruiser';

const only = (name: string, from: string, ...allowed: string[]): IForbiddenRuleType => ({
  name,
  severity: 'error',
  from: { path: `^src/${from}/` },
  to: { path: '^src/', pathNot: [from, ...allowed].map((folder) => `^src/${folder}/`) },
});

export const rules: IForbiddenRuleType[] = [
  only('standards-alone', 'standards'),
  only('edge-alone', 'edge'),
  only('device-knows-only-standards', 'device', 'standards', 'edge'),
  only('network-knows-only-standards', 'network', 'standards', 'edge'),
  only('change-drives-network', 'change', 'network', 'standards', 'edge'),
  only('fleet-drives-change', 'fleet', 'change', 'standards', 'edge'),
  only('serve-runs-roles', 'serve', 'network', 'change', 'standards', 'edge'),
  {
    name: 'nobody-knows-how-it-is-served',
    comment: 'a role cannot tell whether it runs alone in a process or beside others',
    severity: 'error',
    from: { path: '^src/', pathNot: ['^src/(serve|cli|lab)/'] },
    to: { path: '^src/serve/' },
  },
  only('ca-knows-only-statements-of-who-is-who', 'ca', 'network/wire', 'standards', 'edge'),
  {
    name: 'nobody-takes-an-authority-along',
    comment: 'who runs a role has no use for the key that makes them all',
    severity: 'error',
    from: { path: '^src/', pathNot: ['^src/(ca|cli|lab)/'] },
    to: { path: '^src/ca/' },
  },
  {
    name: 'change-through-clients-only',
    comment: 'change reaches a role through its client, never through its inside',
    severity: 'error',
    from: { path: '^src/change/' },
    to: { path: '^src/network/', pathNot: ['^src/network/(wire|vault|ota)/', '/client\\.ts$'] },
  },
  {
    name: 'roles-meet-on-wires',
    comment: 'a role may use another role only through its client',
    severity: 'error',
    from: { path: '^src/network/([^/]+)/' },
    to: {
      path: '^src/network/',
      pathNot: ['^src/network/$1/', '^src/network/(wire|vault|ota)/', '/client\\.ts$'],
    },
  },
  {
    name: 'standards-are-pure',
    comment: 'no I/O: of Node only its crypto arithmetic, and no package',
    severity: 'error',
    from: { path: '^src/standards/' },
    to: { pathNot: ['^src/standards/', '^(node:)?crypto$'] },
  },
  {
    name: 'only-the-edge-touches-the-world',
    severity: 'error',
    from: { path: '^src/(device|network|change|fleet)/' },
    to: {
      path: '^(node:)?(net|dgram|tls|child_process|worker_threads|timers)$',
      dependencyTypesNot: ['type-only'],
    },
  },
  {
    name: 'only-cli-imports-lab',
    severity: 'error',
    from: { path: '^src/', pathNot: ['^src/(cli|lab|evaluation)/'] },
    to: { path: '^src/(lab|evaluation|cli)/' },
  },
  { name: 'no-circles', severity: 'error', from: {}, to: { circular: true } },
];

async function broken(folder: string): Promise<{ cruised: number; violations: string[] }> {
  const before = process.cwd();
  process.chdir(folder);
  try {
    const { output } = await cruise(['src'], {
      ruleSet: { forbidden: rules },
      validate: true,
      tsPreCompilationDeps: 'specify',
      doNotFollow: { path: 'node_modules' },
      enhancedResolveOptions: { extensions: ['.ts', '.js', '.json'] },
    });
    const { summary } = output as ICruiseResult;
    return {
      cruised: summary.totalCruised,
      violations: summary.violations.map((v) => `${v.rule.name}: ${v.from} → ${v.to}`),
    };
  } finally {
    process.chdir(before);
  }
}

/** One file per rule that breaks it. */
const offences: Record<string, [file: string, imports: string][]> = {
  'standards-alone': [['src/standards/a/x.ts', '../../network/owner/y.ts']],
  'edge-alone': [['src/edge/x.ts', '../network/owner/y.ts']],
  'device-knows-only-standards': [['src/device/a/x.ts', '../../network/owner/y.ts']],
  'network-knows-only-standards': [['src/network/a/x.ts', '../../device/b/y.ts']],
  'change-drives-network': [['src/change/x.ts', '../device/b/y.ts']],
  'fleet-drives-change': [['src/fleet/x.ts', '../network/owner/y.ts']],
  'serve-runs-roles': [['src/serve/x.ts', '../device/b/y.ts']],
  'nobody-knows-how-it-is-served': [['src/network/a/u.ts', '../../serve/y.ts']],
  'ca-knows-only-statements-of-who-is-who': [['src/ca/x.ts', '../network/owner/y.ts']],
  'nobody-takes-an-authority-along': [['src/network/a/v.ts', '../../ca/y.ts']],
  'change-through-clients-only': [['src/change/z.ts', '../network/owner/y.ts']],
  'roles-meet-on-wires': [['src/network/a/z.ts', '../owner/y.ts']],
  'standards-are-pure': [['src/standards/a/z.ts', 'node:fs']],
  'only-the-edge-touches-the-world': [['src/device/a/z.ts', 'node:net']],
  'only-cli-imports-lab': [['src/network/a/w.ts', '../../lab/y.ts']],
  'no-circles': [
    ['src/lab/c.ts', './d.ts'],
    ['src/lab/d.ts', './c.ts'],
  ],
};

async function provesItCanFail(): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), 'rehome-house-'));
  try {
    const files: [string, string][] = [
      ...['src/network/owner/y.ts', 'src/device/b/y.ts', 'src/lab/y.ts', 'src/ca/y.ts', 'src/serve/y.ts'].map(
        (file): [string, string] => [file, 'export const y = 1;\n'],
      ),
      ...Object.values(offences)
        .flat()
        .map(([file, imports]): [string, string] => [
          file,
          `import * as y from '${imports}';\nexport const x = y;\n`,
        ]),
    ];
    for (const [file, text] of files) {
      mkdirSync(dirname(join(folder, file)), { recursive: true });
      writeFileSync(join(folder, file), text);
    }
    const seen = await broken(folder);
    const caught = new Set(seen.violations.map((violation) => violation.split(':')[0]));
    return rules.map((rule) => rule.name!).filter((name) => !caught.has(name));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const toothless = await provesItCanFail();
if (toothless.length > 0) {
  console.error(`house: rules that cannot fail: ${toothless.join(', ')}`);
  process.exit(1);
}
const { cruised, violations } = await broken(join(import.meta.dirname, '..'));
for (const violation of violations) console.error(`house: ${violation}`);
if (cruised < 10) {
  console.error(
    `house: only ${cruised} modules seen in ${relative(process.cwd(), 'src')}; the check checked nothing`,
  );
  process.exit(1);
}
console.log(
  `house: ${rules.length} rules, each seen to fail on purpose; ${cruised} modules, ${violations.length} violations`,
);
process.exit(violations.length === 0 ? 0 : 1);
