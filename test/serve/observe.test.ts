import assert from 'node:assert/strict';
import { createServer as createHttp } from 'node:http';
import { Agent, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, describe, it } from 'node:test';
import { z } from 'zod';
import type { Edge, Observer } from '../../src/edge/index.ts';
import { realEdge, realSockets } from '../../src/edge/real.ts';
import { Problem, callRole, get, post, serveApi } from '../../src/network/wire/http.ts';
import { createSigner } from '../../src/network/wire/statements.ts';
import { changesIn, codesIn } from '../../src/serve/changes-in.ts';
import { createLog, whyOf } from '../../src/serve/log.ts';
import { createMetrics } from '../../src/serve/metrics.ts';
import { createObserver, purposeOf } from '../../src/serve/observe.ts';
import { createTelemetry } from '../../src/serve/telemetry.ts';
import type { Line } from './trial.ts';

const ANY = { host: '127.0.0.1', port: 0 };
const [ONE, TWO] = ['00000000000000a1', '00000000000000a2'] as const;
const statement = async (change: string): Promise<string> =>
  (await createSigner(realEdge.clock, 'B')).sign('destroyed', {
    aud: ['A'],
    iat: 0,
    exp: 1,
    change,
    iccid: '8'.repeat(19),
  });

describe('the changes of a request', () => {
  it('are those that it names, or that its statements name, each once and in order', async () => {
    const [one, two] = [await statement(ONE), await statement(TWO)];
    const found = (body: unknown): string[] => changesIn(body).map(({ change }) => change);
    assert.deepEqual(found({ change: ONE }), [ONE]);
    assert.deepEqual(found([{ change: TWO }, { change: ONE }, { change: TWO }]), [TWO, ONE]);
    assert.deepEqual(found([one, two]), [ONE, TWO]);
    assert.deepEqual(found({ operator: 'B', requests: [{ order: two, release: one }] }), [TWO]);
    assert.deepEqual(found({ order: one }), [ONE]);
    for (const none of [
      undefined,
      null,
      3,
      'text',
      {},
      [],
      { change: 'x' },
      ['eyJ.e30.x', 'eyJ.####.x'],
      { order: 'eyJ.e30.x' },
    ]) {
      assert.deepEqual(found(none), [], JSON.stringify(none));
    }
  });

  it('have the code with which their item was refused', () => {
    const body = { requests: [{ change: ONE }, { change: TWO }] };
    const answer = { results: [{ ok: true }, { error: '…', code: 'bad-order' }] };
    assert.deepEqual(changesIn(body, answer), [
      { change: ONE, code: undefined },
      { change: TWO, code: 'bad-order' },
    ]);
    assert.deepEqual(
      changesIn(body, { results: [{ code: 'x' }] }).map(({ code }) => code),
      [undefined, undefined],
    );
    assert.deepEqual(codesIn(answer), ['bad-order']);
  });
});

/** A role that is observed, and one that asks it. */
async function world(more: Partial<Edge> = {}) {
  const lines: Line[] = [];
  const log = createLog('debug', 'A', (line) => lines.push(JSON.parse(line) as Line));
  const metrics = createMetrics();
  const telemetry = await createTelemetry(undefined, 'A', 'test');
  const observerOf = (role: string): Observer =>
    createObserver({ role, log, metrics, telemetry, peerAt: () => 'escrow' });
  const server = await serveApi({ ...realEdge, ...more, observer: observerOf('escrow') }, ANY, [
    get('/cards/:iccid', ({ params }) => {
      if (params.iccid === '404') throw new Problem(404, 'unknown-card', 'no');
      if (params.iccid === '500') throw new Error('a secret: 0123');
      return {};
    }),
    post('/pairs', z.strictObject({ requests: z.array(z.object({ change: z.string() })) }), ({ body }) => ({
      pairs: body.requests.map((_, i) => (i === 0 ? {} : { error: 'no', code: 'bad-release' })),
    })),
    post('/burnt', z.array(z.string()), () => {
      throw new Problem(403, 'bad-index-burnt', 'no');
    }),
  ]);
  const caller = callRole({ ...realEdge, observer: observerOf('operator') }, server.endpoint);
  return {
    lines,
    caller,
    server,
    text: async () => (await metrics.text()).text,
    close: async () => {
      caller.close();
      await server.close();
    },
  };
}

describe('a request between roles', () => {
  it('is counted at both ends, by route and not by what it names', async () => {
    const { caller, text, close } = await world();
    await caller.call('GET', '/cards/1');
    await caller.call('GET', '/cards/2?x=y');
    await assert.rejects(caller.call('GET', '/cards/404'), { code: 'unknown-card' });
    await assert.rejects(caller.call('GET', '/cards/500'), { code: 'internal' });
    await assert.rejects(caller.call('POST', '/pairs', { requests: 3 }), { code: 'bad-request' });
    await caller.call('POST', '/pairs', { requests: [{ change: ONE }, { change: TWO }] });
    await assert.rejects(caller.call('POST', '/burnt', []));
    const told = await text();
    const counts: [name: string, labels: string, value: number][] = [
      [
        'rehome_requests_served_total',
        'role="escrow",route="/cards/:iccid",status="200",caller="unknown"',
        2,
      ],
      [
        'rehome_requests_served_total',
        'role="escrow",route="/cards/:iccid",status="404",caller="unknown"',
        1,
      ],
      [
        'rehome_requests_served_total',
        'role="escrow",route="/cards/:iccid",status="500",caller="unknown"',
        1,
      ],
      ['rehome_requests_served_total', 'role="escrow",route="/pairs",status="400",caller="unknown"', 1],
      ['rehome_request_duration_seconds_count', 'role="escrow",route="/cards/:iccid"', 4],
      ['rehome_requests_made_total', 'role="operator",peer="escrow",purpose="GET /cards",status="200"', 2],
      ['rehome_requests_made_total', 'role="operator",peer="escrow",purpose="GET /cards",status="404"', 1],
      ['rehome_statements_refused_total', 'role="escrow",code="bad-release"', 1],
      ['rehome_statements_refused_total', 'role="escrow",code="bad-index-burnt"', 1],
    ];
    for (const [name, labels, value] of counts) {
      assert.ok(told.includes(`${name}{${labels}} ${value}\n`), `${name}{${labels}} in\n${told}`);
    }
    await close();
  });

  it('that finds nobody is counted too', async () => {
    const { caller, text, server } = await world();
    await server.close();
    await assert.rejects(caller.call('GET', '/cards/1'), { code: 'unreachable' });
    assert.match(await text(), /rehome_requests_made_total\{[^}]*status="0"\} 1/);
    caller.close();
  });

  it('has a line for each change, with why it was refused; an unexpected error has its kind alone', async () => {
    const { caller, lines, close } = await world();
    await caller.call('POST', '/pairs', { requests: [{ change: ONE }, { change: TWO }] });
    await assert.rejects(caller.call('GET', '/cards/500'));
    await close();
    const of = (change: string): Line[] => lines.filter((line) => line.change === change);
    assert.deepEqual(
      [of(ONE), of(TWO)].map((all) =>
        all.map(({ level, msg, role, route, status, code }) => ({ level, msg, role, route, status, code })),
      ),
      [
        [{ level: 'info', msg: 'request', role: 'escrow', route: '/pairs', status: 200, code: undefined }],
        [
          {
            level: 'info',
            msg: 'request',
            role: 'escrow',
            route: '/pairs',
            status: 200,
            code: 'bad-release',
          },
        ],
      ],
    );
    assert.doesNotMatch(JSON.stringify(lines), /0123/);
    assert.match(whyOf(new Error('a secret: 0123')), /^Error at .*observe\.test\.ts/);
    assert.equal(whyOf(new Problem(403, 'x', 'worded by us')), 'worded by us');
    assert.equal(purposeOf('/cards/8988?after=1'), '/cards');
  });

  it('that is under way when the role ends is answered', async () => {
    let begun: () => void = () => undefined;
    let answer: () => void = () => undefined;
    const began = new Promise<void>((resolve) => (begun = resolve));
    const answered = new Promise<void>((resolve) => (answer = resolve));
    const server = await serveApi(realEdge, ANY, [
      get('/slow', async () => {
        begun();
        await answered;
        return { done: true };
      }),
      get('/events', async ({ gone }) => {
        await gone();
        return { events: [] };
      }),
    ]);
    const caller = callRole(realEdge, server.endpoint);
    const slow = caller.call('GET', '/slow');
    const long = caller.wait('/events');
    await began;
    let closed = false;
    const closing = server.close().then(() => (closed = true));
    assert.deepEqual(await long, { events: [] });
    assert.equal(closed, false);
    answer();
    assert.deepEqual(await slow, { done: true });
    await closing;
    caller.close();
  });
});

describe('spans', () => {
  interface Span {
    traceId: string;
    spanId: string;
    parentSpanId?: string;
    name: string;
    kind: number;
    attributes: {
      key: string;
      value: { stringValue?: string; intValue?: number; arrayValue?: { values: { stringValue: string }[] } };
    }[];
    status: { code?: number };
  }
  const received: Span[] = [];
  let namespace = '';
  const receiver = createHttp((incoming, outgoing) => {
    const parts: Buffer[] = [];
    incoming.on('data', (part: Buffer) => parts.push(part));
    incoming.on('end', () => {
      const { resourceSpans } = JSON.parse(Buffer.concat(parts).toString('utf8')) as {
        resourceSpans: { resource: { attributes: Span['attributes'] }; scopeSpans: { spans: Span[] }[] }[];
      };
      for (const { resource, scopeSpans } of resourceSpans) {
        namespace = resource.attributes.find(({ key }) => key === 'service.namespace')!.value.stringValue!;
        received.push(...scopeSpans.flatMap(({ spans }) => spans));
      }
      outgoing.setHeader('content-type', 'application/json').end('{}');
    });
  });
  after(() => receiver.close());
  const attribute = (span: Span, name: string): unknown => {
    const value = span.attributes.find(({ key }) => key === name)?.value;
    return (
      value?.stringValue ?? value?.intValue ?? value?.arrayValue?.values.map(({ stringValue }) => stringValue)
    );
  };

  it('go on from role to role, and name the changes', async () => {
    await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
    const { port } = receiver.address() as AddressInfo;
    const telemetry = await createTelemetry(`http://127.0.0.1:${port}/v1/traces`, 'A', 'test');
    const lines: Line[] = [];
    const log = createLog('info', 'A', (line) => lines.push(JSON.parse(line) as Line));
    const observerOf = (role: string): Edge => ({
      ...realEdge,
      observer: createObserver({ role, log, metrics: createMetrics(), telemetry, peerAt: () => 'escrow' }),
    });
    const escrow = await serveApi(observerOf('escrow'), ANY, [
      post('/pairs', z.unknown() as z.ZodType<unknown>, () => {
        throw new Problem(503, 'full', 'no');
      }),
    ]);
    const toEscrow = callRole(observerOf('operator'), escrow.endpoint);
    const operator = await serveApi(observerOf('operator'), ANY, [
      post('/keys', z.unknown() as z.ZodType<unknown>, async () => {
        await toEscrow
          .call('POST', '/pairs', { requests: [{ change: ONE }, { change: TWO }] })
          .catch(() => undefined);
        return {};
      }),
      get('/events', () => ({ events: [] })),
    ]);
    const traceId = '0af7651916cd43dd8448eb211c80319c';
    await new Promise<void>((resolve, reject) => {
      const agent = new Agent();
      agent.createConnection = () => realSockets.connect('http', operator.endpoint);
      const asked = request(
        {
          agent,
          method: 'POST',
          path: '/keys',
          headers: { 'content-type': 'application/json', traceparent: `00-${traceId}-b7ad6b7169203331-01` },
        },
        (response) => response.resume().once('end', resolve),
      );
      asked.once('error', reject).end(JSON.stringify({ change: ONE }));
    });
    const asking = callRole(observerOf('owner'), operator.endpoint);
    await asking.wait('/events?after=0');
    asking.close();
    toEscrow.close();
    await operator.close();
    await escrow.close();
    await telemetry.close();
    assert.equal(namespace, 'A');
    // Readers of events have no spans: they would never end.
    assert.deepEqual(received.map(({ name }) => name).sort(), ['POST /keys', 'POST /pairs', 'POST /pairs']);
    assert.deepEqual(new Set(received.map((span) => span.traceId)), new Set([traceId]));
    const keys = received.find(({ name }) => name === 'POST /keys')!;
    const [made, served] = [3, 2].map((kind) =>
      received.find((span) => span.kind === kind && span.name === 'POST /pairs')!,
    );
    assert.equal(keys.parentSpanId, 'b7ad6b7169203331');
    assert.equal(made!.parentSpanId, keys.spanId);
    assert.equal(served!.parentSpanId, made!.spanId);
    assert.equal(attribute(keys, 'rehome.change'), ONE);
    assert.deepEqual(attribute(served!, 'rehome.change'), [ONE, TWO]);
    assert.equal(attribute(served!, 'rehome.role'), 'escrow');
    assert.equal(attribute(served!, 'http.response.status_code'), 503);
    assert.equal(served!.status.code, 2);
    assert.ok(lines.some((line) => line.change === ONE && line.trace === traceId));
  });
});
