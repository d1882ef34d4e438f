import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { parse } from 'yaml';
import { describedKeys, exampleConfig, type DescribedKey } from '../../src/serve/config/describe.ts';
import { createMetrics } from '../../src/serve/metrics.ts';
import { ConfigError, parseConfig } from '../../src/serve/config/read.ts';
import { SERVED_ROLES } from '../../src/serve/config/schema.ts';

/** With everything that is only possible; of alternatives all, which no configuration may have. */
const inFull = (example: string): string => example.replaceAll(/^( *)#(?=\S)/gm, '$1');

function problems(text: string, roles?: string[]): string[] {
  try {
    parseConfig(text, 'c.yaml', roles);
    return [];
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    assert.equal(error.message, error.problems.map((each) => `c.yaml: ${each}`).join('\n'));
    return [...error.problems];
  }
}

describe('the example of a configuration', () => {
  for (const role of SERVED_ROLES) {
    it(`of ${role} is one that is accepted, and has that role`, () => {
      assert.deepEqual(parseConfig(exampleConfig([role]), 'c.yaml').roles, [role]);
    });
  }

  it('of all roles is one that is accepted, too', () => {
    assert.deepEqual(parseConfig(exampleConfig(SERVED_ROLES), 'c.yaml').roles, SERVED_ROLES);
  });

  it('has every key there is, each with a remark, and is right but for the alternatives when all is taken', () => {
    const text = inFull(exampleConfig(SERVED_ROLES));
    const walk = (keys: readonly DescribedKey[], value: unknown, path: string): void => {
      const names = Object.keys(value as object);
      assert.deepEqual(
        names,
        keys.map(({ name }) => name),
        path,
      );
      for (const key of keys) {
        assert.notEqual(key.description, '', `${path}.${key.name}`);
        const inner = (value as Record<string, unknown>)[key.name];
        const at = `${path}.${key.name}`;
        if (key.keys) walk(key.keys, inner, at);
        if (key.list) walk(key.list, (inner as unknown[])[0], at);
        if (key.entries) walk(key.entries, Object.values(inner as object)[0], at);
      }
    };
    walk(describedKeys(), parse(text), '');
    for (const each of problems(text)) assert.match(each, /expected one of .*, and one alone$/);
  });

  it('is right with each optional key by itself', () => {
    const text = exampleConfig(SERVED_ROLES);
    const rows = text.split('\n').filter((row) => !/^ *# /.test(row));
    const depth = (row: string): number => /^ */.exec(row)![0].length;
    let tried = 0;
    rows.forEach((row, i) => {
      // Only what is off by itself, not what is under something that is.
      if (!/^ *#[a-z]/.test(row) || !/[a-z]:/i.test(row)) return;
      const outer = rows
        .slice(0, i)
        .findLast((each) => /^ *#?[A-Za-z-]/.test(each) && depth(each) < depth(row));
      if (outer && /^ *#\S/.test(outer)) return;
      const exclusive = ['environment', 'pkcs11'].some((name) => row.trim().startsWith(`#${name}`));
      if (exclusive) return;
      let end = i + 1;
      while (end < rows.length && rows[end]!.trim() !== '' && depth(rows[end]!) > depth(row)) end++;
      // Of alternatives within, the first.
      const block = rows.slice(i, end).map((each) => each.replace(/^( *)#(?=\S)/, '$1'));
      const kept: string[] = [];
      let skip = Infinity;
      for (const each of block) {
        if (depth(each) <= skip) skip = Infinity;
        if (skip === Infinity && /^ *(environment|batchFiles|rest):/.test(each)) skip = depth(each);
        if (skip === Infinity) kept.push(each);
      }
      const changed = [...rows.slice(0, i), ...kept, ...rows.slice(end)].join('\n');
      assert.deepEqual(problems(changed), [], row);
      tried++;
    });
    assert.ok(tried >= 25, `${tried} tried`);
  });
});

describe('a configuration', () => {
  const escrow = exampleConfig(['escrow']);
  const operator = exampleConfig(['operator']);
  const changed = (text: string, from: string | RegExp, to: string): string => {
    const result = text.replace(from, to);
    assert.notEqual(result, text);
    return result;
  };

  it('has paths relative to its folder', () => {
    const { config } = parseConfig(escrow, '/etc/rehome/escrow.yaml');
    assert.equal(config.tls.key, '/etc/rehome/a.key');
    assert.equal(config.escrow!.database, '/etc/rehome/escrow.db');
    assert.deepEqual(config.escrow!.vault.software!.keyEncryptionKey, { file: '/etc/rehome/escrow.kek' });
    const absolute = changed(escrow, 'ca.pem', '/usr/share/ca.pem');
    assert.equal(parseConfig(absolute, '/etc/x.yaml').config.tls.authorities, '/usr/share/ca.pem');
  });

  it('says where to listen by host and port, or by a port of this machine alone', () => {
    const listen = (text: string): unknown =>
      parseConfig(changed(escrow, 'api: 127.0.0.1:8443', `api: ${text}`), 'c.yaml').config.escrow!.listen.api;
    assert.deepEqual(listen('8443'), { host: '127.0.0.1', port: 8443 });
    assert.deepEqual(listen('0'), { host: '127.0.0.1', port: 0 });
    assert.deepEqual(listen("'[::1]:8443'"), { host: '::1', port: 8443 });
    assert.deepEqual(listen('https://escrow.example:8443'), { host: 'escrow.example', port: 8443 });
  });

  const cases: [what: string, text: string, expected: RegExp[], roles?: string[]][] = [
    [
      'nothing',
      '',
      [
        /^organisation: absent, expected text$/,
        /^tls: absent, expected a section$/,
        /^parties: absent/,
        /^the file: no role, expected a section of operator, /,
      ],
    ],
    ['a list', '- a', [/^the file: a list, expected a section$/, /no role/]],
    ['no YAML', 'organisation: "A\ntls: }', [/^line \d+, column \d+: no YAML/]],
    ['a key twice', `${escrow}\norganisation: B\n`, [/^line \d+, column 1: no YAML.*unique/]],
    ['an unknown key', `${escrow}\ncolour: red\n`, [/^colour: unknown, expected one of organisation, tls, /]],
    [
      'an unknown key deep inside',
      changed(escrow, '  certificate: a.pem', '  certificate: a.pem\n  cipher: none'),
      [/^tls\.cipher: unknown, expected one of certificate, key, authorities, crl$/],
    ],
    [
      'an unknown key of an entry',
      changed(escrow, '      vault: b.vault.jwk', '      vault: b.vault.jwk\n      valt: x'),
      [/^escrow\.operators\.B\.valt: unknown, expected one of vault$/],
    ],
    [
      'digits without quotes',
      changed(operator, "plmn: '00101'", 'plmn: 00101'),
      [/^operator\.profile\.plmn: 101, expected MCC and MNC, 5 or 6 digits, in quotes$/],
    ],
    [
      'too few digits',
      changed(operator, "plmn: '00101'", "plmn: '0010'"),
      [/^operator\.profile\.plmn: "0010", expected MCC and MNC, 5 or 6 digits$/],
    ],
    [
      'an algorithm that is none',
      changed(operator, '[milenage, tuak]', '[rot13]'),
      [/^operator\.profile\.algorithms\.0: "rot13", expected one of milenage, tuak, test-xor$/],
    ],
    [
      'a port that is none',
      changed(escrow, '127.0.0.1:8443', '127.0.0.1:84430'),
      [/^escrow\.listen\.api: "127\.0\.0\.1:84430", expected HOST:PORT/],
    ],
    [
      'a peer without a port',
      changed(operator, 'at: 127.0.0.1:8443', 'at: escrow.example'),
      [/^operator\.escrow\.at: "escrow\.example", expected HOST:PORT$/],
    ],
    [
      'a peer at port 0',
      changed(operator, 'at: 127.0.0.1:8443', 'at: 127.0.0.1:0'),
      [/^operator\.escrow\.at: .*expected HOST:PORT$/],
    ],
    [
      'no vault',
      changed(escrow, /software:[^]*?transportKey: \S+/, '{}'),
      [/^escrow\.vault: a section, expected one of software, pkcs11, and one alone$/],
    ],
    [
      'a scale of 0',
      `${escrow}\ntime: {scale: 0, from: {virtual: today, wall: '2026-01-01T00:00:00Z'}}\n`,
      [/^time\.scale: 0, expected more than 0$/, /^time\.from\.virtual: "today", expected a time/],
    ],
    [
      'a role that it has not',
      escrow,
      [/^--role: owner, expected a role that the file has a section for$/],
      ['owner'],
    ],
    ['a role that is none', escrow, [/^--role: "king", expected one of operator, /], ['king']],
    [
      'an endpoint that is none',
      `${escrow}\ntelemetry: {endpoint: 'file:///etc'}\n`,
      [/^telemetry\.endpoint: "file:\/\/\/etc", expected an http or https URL$/],
    ],
  ];
  for (const [what, text, expected, roles] of cases) {
    it(`that has ${what} is refused, with all that is wrong with it`, () => {
      const found = problems(text, roles);
      assert.equal(found.length, expected.length, found.join('\n'));
      expected.forEach((each) =>
        assert.ok(
          found.some((problem) => each.test(problem)),
          `${each} in ${found.join('\n')}`,
        ),
      );
    });
  }

  it('never has a secret shown, wherever somebody put one', () => {
    const places: [from: string | RegExp, to: string][] = [
      [/otaPassword:[^]*?file: \S+/, 'otaPassword: SECRET'],
      [/otaPassword:[^]*?file: \S+/, 'otaPassword: {file: x, value: SECRET}'],
      [/otaPassword:[^]*?file: \S+/, 'otaPassword: [SECRET]'],
      [/otaPassword:[^]*?file: \S+/, 'otaPassword: {environment: "SECRET!"}'],
      [/keyEncryptionKey:[^]*?file: \S+/, 'keyEncryptionKey: SECRET'],
      [/transportKey: \S+/, 'transportKey: [SECRET]'],
      [/signingKey: \S+/, 'signingKey: {pem: SECRET}'],
      ['organisation: A', 'organisation: A\npassword: SECRET'],
      ['organisation: A', 'organisation: "A\npassword: SECRET'],
      ['organisation: A', 'organisation: A\npassword: *SECRET'],
      ['organisation: A', 'organisation: A\npassword: !SECRET x'],
      ['organisation: A', 'organisation: A\npassword: "SECRET" SECRET'],
    ];
    for (const [from, to] of places) {
      const found = problems(changed(operator, from, to));
      assert.ok(found.length > 0, to);
      assert.doesNotMatch(found.join('\n'), /SECRET/, to);
    }
  });

  it('does not grow without end through aliases', () => {
    const bomb = ['a: &a [x,x,x,x,x,x,x,x,x]'];
    for (const [i, name] of [...'bcdefghi'].entries()) {
      const before = 'abcdefgh'[i]!;
      bomb.push(`${name}: &${name} [${Array(9).fill(`*${before}`).join(',')}]`);
    }
    assert.deepEqual(problems(bomb.join('\n')), ['the file: aliases without end, expected a plain document']);
  });

  it('may be asked for some of its roles', () => {
    const text = exampleConfig(['operator', 'escrow', 'owner']);
    assert.deepEqual(parseConfig(text, 'c.yaml', ['owner', 'operator']).roles, ['operator', 'owner']);
  });
});

describe('docs/serve.md', () => {
  const path = join(import.meta.dirname, '../../docs/serve.md');
  const document = readFileSync(path, 'utf8');

  it('has the configuration as it is; with UPDATE_DOCS=1 it is written there', () => {
    const example = exampleConfig(SERVED_ROLES);
    const found = /```yaml\n([^]*?)```\n<!-- prettier-ignore-end -->/.exec(document)!;
    if (process.env.UPDATE_DOCS === '1') {
      const after = '```\n<!-- prettier-ignore-end -->';
      writeFileSync(
        path,
        document.replace(found[0], () => `\`\`\`yaml\n${example}${after}`),
      );
      return;
    }
    assert.equal(found[1], example);
  });

  it('has every metric, and no other', async () => {
    const metrics = createMetrics();
    for (const name of ['devices', 'live', 'ledger', 'certificate', 'crl'] as const)
      metrics.gauge(name, '', () => 1);
    const { text } = await metrics.text();
    const there = [...text.matchAll(/^# TYPE (rehome_\w+)/gm)].map(([, name]) => name!);
    const told = [...document.matchAll(/^\| `(rehome_\w+)`/gm)].map(([, name]) => name!);
    assert.deepEqual(told.sort(), there.sort());
  });
});
