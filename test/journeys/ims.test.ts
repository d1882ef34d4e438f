/** IMS before and after a change: a serving CSCF asks an HSS by Cx, the device's ISIM answers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ImsAnswer } from '../../src/device/modem/index.ts';
import { PROFILES } from '../../src/lab/operators.ts';
import { epcRealm } from '../../src/network/operator/profile.ts';
import { createDiameterNode } from '../../src/network/wire/diameter.ts';
import { equal } from '../../src/standards/bytes/index.ts';
import {
  APPLICATION,
  EXPERIMENTAL_RESULT,
  RESULT,
  SIP_SCHEME,
  multimediaAuth,
  readAnswer,
  requestOf,
  resultOf,
} from '../../src/standards/diameter/index.ts';
import { imsDomain, imsIdentityOf, type ImsIdentity } from '../../src/standards/uicc/index.ts';
import { begin, type Story } from './story.ts';

/** What an operator's IMS core finds of a subscriber: a result, and where it is success whether RES is XRES. */
async function register(
  story: Story,
  operator: 'A' | 'B',
  identity: ImsIdentity,
  answer: (rand: Uint8Array, autn: Uint8Array) => Promise<ImsAnswer | undefined>,
): Promise<{ result: number | undefined; resIsXres?: boolean }> {
  const { plmn } = PROFILES[operator];
  const realm = epcRealm(plmn);
  const cscf = await story.ask(
    createDiameterNode({
      edge: story.world.guest(`cscf ${operator}`),
      originHost: `scscf.${imsDomain(plmn)}`,
      originRealm: imsDomain(plmn),
      applications: [APPLICATION.cx],
      peers: [{ realm, endpoint: story.world.hss[operator] }],
      handle: () => {
        throw new Error('nobody asks a CSCF');
      },
    }),
  );
  try {
    const request = requestOf(multimediaAuth, {
      sessionId: cscf.sessionId(),
      originHost: cscf.originHost,
      originRealm: cscf.originRealm,
      destinationRealm: realm,
      userName: identity.impi,
      publicIdentity: identity.impu,
      sipNumberAuthItems: 1,
      serverName: `sip:scscf.${imsDomain(plmn)}`,
      sipAuthDataItem: { scheme: SIP_SCHEME.aka },
    });
    const found = readAnswer(multimediaAuth, await story.ask(cscf.request(request)));
    const result = resultOf(found);
    const item = found.sipAuthDataItems?.[0];
    if (!item) return { result };
    const given = await story.ask(
      answer(item.authenticate!.subarray(0, 16), item.authenticate!.subarray(16)),
    );
    return { result, resIsXres: given?.kind === 'success' && equal(given.res, item.authorization!) };
  } finally {
    await story.ask(cscf.close());
  }
}

for (const alternative of ['3a', '3b'] as const) {
  test(`${alternative}: IMS goes where the access goes, and A’s HSS knows the device no more`, async () => {
    const count = alternative === '3a' ? 2 : 1;
    const story = await begin(count, {}, { alternative });
    await story.pass(5);
    for (const { made, ims } of [...story.world.devices]) {
      const old = imsIdentityOf(made.card.usim.imsi, 2);
      assert.deepEqual(await story.ask(ims.imsIdentity()), old, made.class);
      const before = await register(story, 'A', old, ims.answerIms);
      assert.deepEqual(before, { result: RESULT.success, resIsXres: true });
      assert.deepEqual(await register(story, 'B', old, ims.answerIms), {
        result: EXPERIMENTAL_RESULT.userUnknown,
      });

      const { state, why } = await story.move(made.name, 'A', 'B');
      assert.equal(state, 'done', why);
      const device = story.device(made.name);
      const identity = (await story.ask(ims.imsIdentity()))!;
      assert.deepEqual(identity, imsIdentityOf(device.imsi()!, 2), 'the ISIM is of the USIM’s subscription');
      assert.match(identity.impi, /^00102[0-9]{10}@ims\.mnc002\.mcc001\.3gppnetwork\.org$/);
      const after = await register(story, 'B', identity, ims.answerIms);
      assert.deepEqual(after, { result: RESULT.success, resIsXres: true });
      assert.deepEqual(await register(story, 'A', old, ims.answerIms), {
        result: EXPERIMENTAL_RESULT.userUnknown,
      });
      assert.equal((await story.heard(made.name))?.operator, 'B');
    }
    await story.end();
  });
}
