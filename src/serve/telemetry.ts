/**
 * Spans of requests between roles, by the API of OpenTelemetry; its SDK is loaded only where spans go somewhere. The
 * trace goes on from role to role by `traceparent` (W3C Trace Context).
 */
import {
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  context,
  propagation,
  trace,
  type Span,
  type Tracer,
} from '@opentelemetry/api';

export interface Telemetry {
  /** Runs the handling of a request as a span, under that of who asked. */
  served<T>(
    about: SpanAbout & { traceparent: string | undefined },
    run: (span: Span) => Promise<T>,
  ): Promise<T>;
  /** A span of a request that goes out, under the one that is being handled; and what carries it. */
  made(about: SpanAbout): { headers: Record<string, string>; span: Span };
  /** Sends what was not sent yet. */
  close(): Promise<void>;
}

export interface SpanAbout {
  role: string;
  name: string;
  attributes: Record<string, string>;
}

/** How long sending the last spans may take, in milliseconds. */
const LAST = 3_000;

const attributesOf = ({ role, attributes }: SpanAbout): Record<string, string> => ({
  'rehome.role': role,
  ...attributes,
});

/** Says of a span which changes it is about. */
export function nameChanges(span: Span, changes: readonly string[]): void {
  if (changes.length > 0)
    span.setAttribute('rehome.change', changes.length === 1 ? changes[0]! : [...changes]);
}

/** Ends a span with the status that the request was answered with; 0: it was not. */
export function endSpan(span: Span, status: number): void {
  if (status > 0) span.setAttribute('http.response.status_code', status);
  if (status === 0 || status >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
  span.end();
}

/**
 * @param endpoint OTLP over HTTP: `http://127.0.0.1:4318/v1/traces`; spans go nowhere if not given, and cost nothing
 * @param instance names the process among others of the same organisation
 */
export async function createTelemetry(
  endpoint: string | undefined,
  organisation: string,
  instance: string,
): Promise<Telemetry> {
  const end = endpoint === undefined ? undefined : await startSdk(endpoint, organisation, instance);
  const tracer: Tracer = trace.getTracer('rehome');
  return {
    served(about, run) {
      const parent =
        about.traceparent === undefined
          ? ROOT_CONTEXT
          : propagation.extract(ROOT_CONTEXT, { traceparent: about.traceparent });
      const span = tracer.startSpan(
        about.name,
        { kind: SpanKind.SERVER, attributes: attributesOf(about) },
        parent,
      );
      return context.with(trace.setSpan(parent, span), () => run(span));
    },
    made(about) {
      const span = tracer.startSpan(about.name, { kind: SpanKind.CLIENT, attributes: attributesOf(about) });
      const headers: Record<string, string> = {};
      propagation.inject(trace.setSpan(context.active(), span), headers);
      return { headers, span };
    },
    close: async () => {
      await end?.();
    },
  };
}

/** @returns what sends the last spans and ends it */
async function startSdk(
  endpoint: string,
  organisation: string,
  instance: string,
): Promise<() => Promise<void>> {
  const { BatchSpanProcessor, TracerProvider } = await import('@opentelemetry/sdk-trace');
  const { OTLPTraceExporter } = await import('@opentelemetry/exporter-trace-otlp-http');
  const { resourceFromAttributes } = await import('@opentelemetry/resources');
  const { W3CTraceContextPropagator } = await import('@opentelemetry/core');
  const { AsyncLocalStorageContextManager } = await import('@opentelemetry/context-async-hooks');
  const provider = new TracerProvider({
    resource: resourceFromAttributes({
      'service.name': 'rehome',
      'service.namespace': organisation,
      'service.instance.id': instance,
    }),
    spanProcessors: [
      new BatchSpanProcessor({
        exporter: new OTLPTraceExporter({ url: endpoint }),
        scheduledDelayMillis: 1_000,
      }),
    ],
  });
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  trace.setGlobalTracerProvider(provider);
  return async () => {
    let late: NodeJS.Timeout | undefined;
    // A receiver that is away must not keep the process.
    await Promise.race([
      provider.shutdown().catch(() => undefined),
      new Promise<void>((resolve) => (late = setTimeout(resolve, LAST))),
    ]);
    clearTimeout(late);
  };
}
