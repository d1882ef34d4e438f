/** Mobility management (TS 24.301 §5): who a message is from, whether to believe it, and what to do about it. */
import type { Endpoint, Timer } from '../../edge/index.ts';
import { DecodeError, FieldError, equal } from '../../standards/bytes/index.ts';
import { ALERT_REASON } from '../../standards/diameter/index.ts';
import {
  DETACH_TYPE,
  EMM_CAUSE,
  ESM_CAUSE,
  NETWORK_DETACH_TYPE,
  SECURITY_HEADER,
  UPDATE_RESULT,
  createNasSecurity,
  decodeNas,
  encodeGprsTimer,
  encodeNas,
  isCiphered,
  isProtected,
  splitProtected,
  type NasMessage,
  type NasMessageOf,
} from '../../standards/nas/index.ts';
import { createAttach } from './attach.ts';
import { Abandoned } from './procedure.ts';
import { Ues, newUe, type Ue } from './ue.ts';
import type { MmeWorld } from './world.ts';

export interface Mme {
  /** A NAS message from an address; whatever it is, it harms nobody else. */
  receive(message: Uint8Array, from: Endpoint): void;
  /** Whether a message, not yet received, carries a short message. */
  carriesSms(message: Uint8Array, from: Endpoint): boolean;
  /** Protects and sends. @returns false if the device has no security context in use */
  send(ue: Ue, message: NasMessage): boolean;
  ueOf(imsi: string): Ue | undefined;
  cancel(ue: Ue, withdrawn: boolean): void;
  registered(): number;
  close(): void;
}

/** T3422, T3450, T3460, T3470 (TS 24.301 table 10.2.2), and how often they run out before the MME gives up. */
const QUESTION_MS = 6_000;
const QUESTIONS = 5;
/** Beyond T3412: mobile reachable timer and implicit detach timer together. */
const SILENCE_MS = 8 * 60_000;
/** A detached device's context is kept so long. */
const DETACHED_MS = 24 * 3_600_000;

/** What may be said before security runs, and never after (TS 24.301 §4.4.4.3). */
const PLAIN_ANSWERS: ReadonlySet<NasMessage['type']> = new Set([
  'identityResponse',
  'authenticationResponse',
  'authenticationFailure',
  'securityModeReject',
]);

export function createMme(world: MmeWorld): Mme {
  const { clock, sms, data, home, observe } = world;
  const ues = new Ues();
  const silenceMs = world.periodicUpdateSeconds * 1000 + SILENCE_MS;
  let closed = false;

  function send(
    ue: Ue,
    message: NasMessage,
    headerType: number = SECURITY_HEADER.integrityCiphered,
  ): boolean {
    if (!ue.security || !ue.secured) return false;
    let bytes: Uint8Array;
    try {
      bytes = ue.security.protect(encodeNas(message), 'downlink', headerType);
    } catch (error) {
      // NAS COUNT is used up: the device makes a new context when it attaches again.
      if (error instanceof FieldError) return false;
      throw error;
    }
    world.transmit(bytes, ue.at, message.type === 'downlinkNasTransport');
    return true;
  }

  /** Says something, protected if security runs. */
  function say(ue: Ue, message: NasMessage): void {
    if (!send(ue, message)) world.transmit(encodeNas(message), ue.at);
  }

  /** Sends, again every so often, until one of the answers comes. Rejects with Abandoned. */
  function ask<K extends NasMessage['type']>(
    ue: Ue,
    transmit: () => void,
    answers: readonly K[],
    milliseconds = QUESTION_MS,
    times = QUESTIONS,
  ): Promise<NasMessageOf<K>> {
    ue.question?.abandon(new Abandoned('another question'));
    return new Promise((resolve, reject) => {
      let left = times - 1;
      let timer: Timer;
      const done = (): void => {
        timer.cancel();
        if (ue.question === question) ue.question = undefined;
      };
      const question = {
        answers: new Set<NasMessage['type']>(answers),
        take(answer: NasMessage) {
          done();
          resolve(answer as NasMessageOf<K>);
        },
        abandon(error: Error) {
          done();
          reject(error);
        },
      };
      const expired = (): void => {
        if (left-- <= 0) {
          question.abandon(new Abandoned(`no ${answers.join(' or ')}`));
          return;
        }
        transmit();
        timer = clock.after(milliseconds, expired);
      };
      ue.question = question;
      timer = clock.after(milliseconds, expired);
      transmit();
    });
  }

  /** Ends what is under way with a device, and its registration; its context stays. */
  function leave(ue: Ue): void {
    ue.question?.abandon(new Abandoned('left'));
    ue.attaching = undefined;
    ue.registered = false;
    sms.closed(ue);
    ue.secured = false;
  }

  function forget(ue: Ue): void {
    leave(ue);
    ues.drop(ue);
  }

  /** A sign of life; arms the timer that notices when there is none. */
  function heard(ue: Ue): void {
    ue.heardAt = clock.now();
    if (!ue.silence && !closed) watch(ue);
    if (ue.registered && ue.wanted) {
      ue.wanted = false;
      void home.notify(ue.imsi!, ALERT_REASON.uePresent);
    }
  }

  /** How long a device may still be silent. */
  const patience = (ue: Ue): number =>
    (ue.registered || ue.attaching ? silenceMs : DETACHED_MS) - (clock.now() - ue.heardAt);

  function watch(ue: Ue): void {
    ue.silence = clock.after(Math.max(1000, patience(ue)), () => {
      ue.silence = undefined;
      // 1 ms: what a scaled clock may lose to rounding
      if (ue.attaching || patience(ue) > 1) {
        watch(ue);
        return;
      }
      const { imsi, registered } = ue;
      forget(ue);
      if (imsi === undefined) return;
      if (registered) observe({ type: 'detached', imsi, by: 'silence' });
      void home.purge(imsi);
    });
  }

  const attach = createAttach({
    ...world,
    ues,
    send,
    say,
    ask,
    forget,
    heard,
    t3412: encodeGprsTimer(world.periodicUpdateSeconds),
  });

  // ——— uplink

  /** Whom a message names by a GUTI of ours. */
  function named(message: NasMessage): Ue | undefined {
    const identity =
      message.type === 'trackingAreaUpdateRequest'
        ? message.oldGuti
        : message.type === 'attachRequest' || message.type === 'detachRequest'
          ? message.epsMobileIdentity
          : undefined;
    return identity?.kind === 'guti' ? attach.byGuti(identity) : undefined;
  }

  /** A device is heard where another one was: that one is there no more. */
  function arrive(ue: Ue, from: Endpoint): void {
    const former = ues.at(from);
    if (former && former !== ue) vacate(former);
    ues.move(ue, from);
  }

  function vacate(former: Ue): void {
    if (former.imsi !== undefined && ues.byImsi(former.imsi) === former) leave(former);
    else forget(former);
  }

  function take(bytes: Uint8Array, from: Endpoint): void {
    let ue = ues.at(from);
    if (ue?.attaching && equal(ue.attaching.request, bytes)) {
      ue.attaching.repeat?.();
      return;
    }
    if (!isProtected(bytes)) {
      believe(ue, decodeNas(bytes, 'uplink'), false, bytes, from);
      return;
    }
    const { headerType, payload } = splitProtected(bytes);
    let opened = ue?.security?.unprotect(bytes, 'uplink');
    if (!opened && !isCiphered(headerType)) {
      const message = decodeNas(payload, 'uplink');
      const owner = named(message);
      opened = owner && owner !== ue ? owner.security?.unprotect(bytes, 'uplink') : undefined;
      if (!opened) {
        believe(ue, message, false, bytes, from);
        return;
      }
      ue = owner!;
      arrive(ue, from);
    }
    if (!opened) {
      // A ciphered message of nobody we know: only the device's next request by name can be answered.
      return;
    }
    if (isCiphered(opened.headerType)) {
      observe({ type: 'plainNas', direction: 'uplink', bytes: opened.plain, device: from });
    }
    heard(ue!);
    believe(ue, decodeNas(opened.plain, 'uplink'), true, bytes, from);
  }

  function believe(
    ue: Ue | undefined,
    message: NasMessage,
    verified: boolean,
    bytes: Uint8Array,
    from: Endpoint,
  ): void {
    if (message.type === 'attachRequest') {
      attachRequested(ue, message, verified, bytes, from);
    } else if (message.type === 'trackingAreaUpdateRequest') {
      if (ue && verified) update(ue, message);
      else refuseUpdate(from);
    } else if (message.type === 'controlPlaneServiceRequest') {
      if (ue && verified) serve(ue, message);
      else {
        const emmCause = EMM_CAUSE.ueIdentityCannotBeDerived;
        world.transmit(encodeNas({ type: 'serviceReject', emmCause }), from);
      }
    } else if (ue) {
      converse(ue, message, verified);
    }
  }

  function attachRequested(
    ue: Ue | undefined,
    message: NasMessageOf<'attachRequest'>,
    verified: boolean,
    bytes: Uint8Array,
    from: Endpoint,
  ): void {
    let subject = ue;
    if (!subject || !verified) {
      // An unproven claim disturbs nobody but whoever had this very address.
      if (subject) vacate(subject);
      subject = newUe(from);
      const crowdedOut = ues.add(subject);
      if (crowdedOut) forget(crowdedOut);
    } else {
      leave(subject);
    }
    subject.attaching = { request: bytes.slice(), repeat: undefined };
    void attach.run(subject, message, verified);
  }

  function update(ue: Ue, request: NasMessageOf<'trackingAreaUpdateRequest'>): void {
    ue.secured = true;
    if (!ue.registered) {
      send(ue, { type: 'trackingAreaUpdateReject', emmCause: EMM_CAUSE.implicitlyDetached });
      ue.secured = false;
      return;
    }
    send(ue, {
      type: 'trackingAreaUpdateAccept',
      epsUpdateResult: UPDATE_RESULT.ta,
      t3412Value: encodeGprsTimer(world.periodicUpdateSeconds),
      taiList: [{ kind: 'codes', plmn: world.plmn, tacs: [world.tac] }],
      ...(request.epsBearerContextStatus ? { epsBearerContextStatus: bearerStatus(ue) } : {}),
    });
  }

  /** A bit per bearer 1–15 (TS 24.301 §9.9.2.1). */
  const bearerStatus = (ue: Ue): Uint8Array => {
    const bits = ue.bearer ? 1 << ue.bearer.ebi : 0;
    return Uint8Array.of(bits & 0xff, bits >> 8);
  };

  function refuseUpdate(to: Endpoint): void {
    const emmCause = EMM_CAUSE.ueIdentityCannotBeDerived;
    world.transmit(encodeNas({ type: 'trackingAreaUpdateReject', emmCause }), to);
  }

  function serve(ue: Ue, request: NasMessageOf<'controlPlaneServiceRequest'>): void {
    if (!ue.registered) {
      say(ue, { type: 'serviceReject', emmCause: EMM_CAUSE.implicitlyDetached });
      return;
    }
    ue.secured = true;
    send(ue, { type: 'serviceAccept' });
    if (request.nasMessageContainer) sms.receive(ue, request.nasMessageContainer);
    if (request.esmMessageContainer && request.esmMessageContainer.length > 0) {
      const esm = decodeNas(request.esmMessageContainer, 'uplink');
      if (esm.type === 'esmDataTransport') data.receive(ue, esm);
    }
  }

  function converse(ue: Ue, message: NasMessage, verified: boolean): void {
    const plainAllowed = PLAIN_ANSWERS.has(message.type) && !ue.secured;
    if (ue.question?.answers.has(message.type) && (verified || plainAllowed)) {
      ue.question.take(message);
      return;
    }
    if (!verified) return;
    // What is left is an answer to a question that was given up, or a status message: nothing to do.
    if (message.type === 'detachRequest') {
      detached(ue, message);
    } else if (message.type === 'pdnConnectivityRequest') {
      const esmCause = ESM_CAUSE.serviceOptionNotSupported;
      send(ue, { type: 'pdnConnectivityReject', ebi: 0, pti: message.pti, esmCause });
    } else if (ue.registered && message.type === 'uplinkNasTransport') {
      sms.receive(ue, message.nasMessageContainer);
    } else if (ue.registered && message.type === 'esmDataTransport') {
      data.receive(ue, message);
    }
  }

  function detached(ue: Ue, request: NasMessageOf<'detachRequest'>): void {
    const { imsi, registered } = ue;
    data.closed(ue);
    if ((request.detachType & DETACH_TYPE.switchOff) === 0) send(ue, { type: 'detachAccept' });
    leave(ue);
    if (registered && imsi !== undefined) observe({ type: 'detached', imsi, by: 'device' });
  }

  return {
    receive(message, from) {
      if (closed) return;
      try {
        take(message, from);
      } catch (error) {
        if (!(error instanceof FieldError)) throw error;
        // Not a NAS message, or not one to answer (TS 24.301 §7).
        const ue = ues.at(from);
        if (
          error instanceof DecodeError &&
          error.field === 'message type' &&
          ue?.secured &&
          isProtected(message)
        ) {
          send(ue, { type: 'emmStatus', emmCause: EMM_CAUSE.messageTypeNonExistent });
        }
      }
    },
    carriesSms(message, from) {
      const security = ues.at(from)?.security;
      if (!security || !isProtected(message)) return false;
      try {
        // In a context of its own, so that the message is still new when it is received.
        const opened = createNasSecurity({ ...security.state }).unprotect(message, 'uplink');
        if (!opened) return false;
        const plain = decodeNas(opened.plain, 'uplink');
        return (
          plain.type === 'uplinkNasTransport' ||
          (plain.type === 'controlPlaneServiceRequest' && plain.nasMessageContainer !== undefined)
        );
      } catch (error) {
        if (error instanceof FieldError) return false;
        throw error;
      }
    },
    send: (ue, message) => send(ue, message),
    ueOf: (imsi) => ues.byImsi(imsi),
    cancel(ue, withdrawn) {
      const { imsi, registered } = ue;
      ue.bearer = undefined;
      if (imsi !== undefined && registered) observe({ type: 'detached', imsi, by: 'home' });
      if (!withdrawn || !registered || !ue.secured) {
        forget(ue);
        return;
      }
      leave(ue);
      ue.secured = true;
      const request: NasMessage = {
        type: 'networkDetachRequest',
        detachType: NETWORK_DETACH_TYPE.reAttachNotRequired,
      };
      const end = (): void => {
        if (!ue.attaching) forget(ue);
      };
      ask(ue, () => send(ue, request), ['detachAccept']).then(end, end);
    },
    registered() {
      let count = 0;
      for (const ue of ues.known()) if (ue.registered) count++;
      return count;
    },
    close() {
      closed = true;
      for (const ue of [...ues.known()]) forget(ue);
    },
  };
}
