/** Certificates and revocation lists as DER (RFC 5280), signed by ECDSA on P-256 with SHA-256 (RFC 5758). */
import { createHash, createPublicKey, sign, type KeyObject } from 'node:crypto';
import { AsnParser, AsnSerializer, OctetString } from '@peculiar/asn1-schema';
import {
  AlgorithmIdentifier,
  AttributeTypeAndValue,
  AttributeValue,
  AuthorityKeyIdentifier,
  BasicConstraints,
  Certificate,
  CertificateList,
  CRLNumber,
  ExtendedKeyUsage,
  Extension,
  Extensions,
  GeneralName,
  KeyIdentifier,
  KeyUsage,
  KeyUsageFlags,
  Name,
  RelativeDistinguishedName,
  RevokedCertificate,
  SubjectAlternativeName,
  SubjectKeyIdentifier,
  SubjectPublicKeyInfo,
  TBSCertificate,
  TBSCertList,
  Time,
  Validity,
  Version,
  id_ce_authorityKeyIdentifier,
  id_ce_basicConstraints,
  id_ce_cRLNumber,
  id_ce_extKeyUsage,
  id_ce_keyUsage,
  id_ce_subjectAltName,
  id_ce_subjectKeyIdentifier,
  id_kp_clientAuth,
  id_kp_serverAuth,
} from '@peculiar/asn1-x509';

const ORGANISATION = '2.5.4.10';
const COMMON_NAME = '2.5.4.3';
const ECDSA_WITH_SHA256 = '1.2.840.10045.4.3.2';
/** A key identifier, in bytes. */
const KEY_ID = 20;

/** A copy with a buffer of its own, as the ASN.1 library wants its values. */
const owned = (bytes: Uint8Array): ArrayBuffer => Uint8Array.from(bytes).buffer;

/** The content of a positive INTEGER. */
const positive = (bytes: Uint8Array): ArrayBuffer =>
  owned((bytes[0] ?? 0) < 0x80 ? bytes : Uint8Array.of(0, ...bytes));

const algorithm = (): AlgorithmIdentifier => new AlgorithmIdentifier({ algorithm: ECDSA_WITH_SHA256 });

const signed = (tbs: TBSCertificate | TBSCertList, key: KeyObject): ArrayBuffer =>
  owned(sign('sha256', new Uint8Array(AsnSerializer.serialize(tbs)), key));

/** A name with an organisation and a common name, either of which may be absent. */
export function nameOf(parts: { organisation?: string; commonName?: string }): Name {
  const part = (type: string, value: string | undefined): RelativeDistinguishedName[] =>
    value === undefined
      ? []
      : [
          new RelativeDistinguishedName([
            new AttributeTypeAndValue({ type, value: new AttributeValue({ utf8String: value }) }),
          ]),
        ];
  return new Name([...part(ORGANISATION, parts.organisation), ...part(COMMON_NAME, parts.commonName)]);
}

const publicKeyInfo = (key: KeyObject): SubjectPublicKeyInfo =>
  AsnParser.parse(key.export({ type: 'spki', format: 'der' }), SubjectPublicKeyInfo);

/** The identifier of a key: the first 160 bits of SHA-256 over its BIT STRING (RFC 7093 §2, method 1). */
export function keyIdentifier(key: KeyObject): Uint8Array {
  const { subjectPublicKey } = publicKeyInfo(key);
  return new Uint8Array(
    createHash('sha256').update(new Uint8Array(subjectPublicKey)).digest().subarray(0, KEY_ID),
  );
}

const extension = (extnID: string, value: unknown, critical = false): Extension =>
  new Extension({ extnID, critical, extnValue: new OctetString(AsnSerializer.serialize(value)) });

const subjectKeyExtension = (key: KeyObject): Extension =>
  extension(id_ce_subjectKeyIdentifier, new SubjectKeyIdentifier(owned(keyIdentifier(key))));

const authorityKeyExtension = (keyId: Uint8Array): Extension =>
  extension(
    id_ce_authorityKeyIdentifier,
    new AuthorityKeyIdentifier({ keyIdentifier: new KeyIdentifier(owned(keyId)) }),
  );

/** Who signs: its name, key and the identifier of that key as its own certificate gives it. */
export interface Issuer {
  name: Name;
  keyId: Uint8Array;
  key: KeyObject;
}

export interface CertificateContent {
  /** 1 to 20 bytes, positive (RFC 5280 §4.1.2.2) */
  serial: Uint8Array;
  subject: Name;
  publicKey: KeyObject;
  notBefore: Date;
  notAfter: Date;
}

function certificate(issuer: Issuer, content: CertificateContent, extensions: Extension[]): Uint8Array {
  const tbsCertificate = new TBSCertificate({
    version: Version.v3,
    serialNumber: positive(content.serial),
    signature: algorithm(),
    issuer: issuer.name,
    validity: new Validity({ notBefore: content.notBefore, notAfter: content.notAfter }),
    subject: content.subject,
    subjectPublicKeyInfo: publicKeyInfo(content.publicKey),
    extensions: new Extensions(extensions),
  });
  const signatureValue = signed(tbsCertificate, issuer.key);
  return new Uint8Array(
    AsnSerializer.serialize(
      new Certificate({ tbsCertificate, signatureAlgorithm: algorithm(), signatureValue }),
    ),
  );
}

/** A self-signed certificate of an authority that signs certificates of parties, not of other authorities; DER. */
export function encodeAuthority(content: CertificateContent, key: KeyObject): Uint8Array {
  const issuer = { name: content.subject, keyId: keyIdentifier(content.publicKey), key };
  return certificate(issuer, content, [
    extension(id_ce_basicConstraints, new BasicConstraints({ cA: true, pathLenConstraint: 0 }), true),
    extension(id_ce_keyUsage, new KeyUsage(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign), true),
    subjectKeyExtension(content.publicKey),
    authorityKeyExtension(issuer.keyId),
  ]);
}

/** What else a certificate says of who holds it. */
export interface AlternativeNames {
  uris: readonly string[];
  hosts: readonly string[];
  addresses: readonly string[];
}

/** A certificate of a party, for both ends of TLS; DER. */
export function encodeCertificate(
  issuer: Issuer,
  content: CertificateContent,
  names: AlternativeNames,
): Uint8Array {
  const alternative = new SubjectAlternativeName([
    ...names.uris.map((uniformResourceIdentifier) => new GeneralName({ uniformResourceIdentifier })),
    ...names.hosts.map((dNSName) => new GeneralName({ dNSName })),
    ...names.addresses.map((iPAddress) => new GeneralName({ iPAddress })),
  ]);
  return certificate(issuer, content, [
    extension(id_ce_basicConstraints, new BasicConstraints({ cA: false }), true),
    extension(id_ce_keyUsage, new KeyUsage(KeyUsageFlags.digitalSignature), true),
    extension(id_ce_extKeyUsage, new ExtendedKeyUsage([id_kp_serverAuth, id_kp_clientAuth])),
    extension(id_ce_subjectAltName, alternative),
    subjectKeyExtension(content.publicKey),
    authorityKeyExtension(issuer.keyId),
  ]);
}

export interface RevocationContent {
  number: number;
  thisUpdate: Date;
  nextUpdate: Date;
  revoked: readonly { serial: Uint8Array; at: Date }[];
}

/** A revocation list; DER. */
export function encodeRevocations(issuer: Issuer, content: RevocationContent): Uint8Array {
  const tbsCertList = new TBSCertList({
    version: Version.v2,
    signature: algorithm(),
    issuer: issuer.name,
    thisUpdate: new Time(content.thisUpdate),
    nextUpdate: new Time(content.nextUpdate),
    // An empty list is no list (RFC 5280 §5.1.2.6).
    ...(content.revoked.length > 0 && {
      revokedCertificates: content.revoked.map(
        ({ serial, at }) =>
          new RevokedCertificate({ userCertificate: positive(serial), revocationDate: new Time(at) }),
      ),
    }),
    crlExtensions: [
      authorityKeyExtension(issuer.keyId),
      extension(id_ce_cRLNumber, new CRLNumber(content.number)),
    ],
  });
  const signature = signed(tbsCertList, issuer.key);
  return new Uint8Array(
    AsnSerializer.serialize(new CertificateList({ tbsCertList, signatureAlgorithm: algorithm(), signature })),
  );
}

/** Name and key identifier of who holds a certificate of an authority (DER). */
export function holderOf(der: Uint8Array): { name: Name; keyId: Uint8Array } {
  const { tbsCertificate } = AsnParser.parse(der, Certificate);
  const own = tbsCertificate.extensions?.find(({ extnID }) => extnID === id_ce_subjectKeyIdentifier);
  const spki = AsnSerializer.serialize(tbsCertificate.subjectPublicKeyInfo);
  return {
    name: tbsCertificate.subject,
    keyId: own
      ? new Uint8Array(AsnParser.parse(own.extnValue.buffer, SubjectKeyIdentifier).buffer)
      : keyIdentifier(createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' })),
  };
}
