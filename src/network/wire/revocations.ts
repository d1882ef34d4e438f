/** Certificates that count no more: lists of an authority (RFC 5280 §5), read and believed only under its signature. */
import { X509Certificate, verify } from 'node:crypto';
import { AsnParser, AsnSerializer } from '@peculiar/asn1-schema';
import {
  AuthorityKeyIdentifier,
  Certificate,
  CertificateList,
  id_ce_authorityKeyIdentifier,
  id_ce_subjectKeyIdentifier,
  SubjectKeyIdentifier,
  KeyUsage,
  KeyUsageFlags,
  id_ce_keyUsage,
  type Extension,
} from '@peculiar/asn1-x509';
import { FieldError } from '../../standards/bytes/index.ts';

/** Hashes of the signature algorithms that are understood; undefined: the algorithm has its own (RFC 8410). */
const HASHES: Record<string, string | undefined> = {
  '1.2.840.10045.4.3.2': 'sha256',
  '1.2.840.10045.4.3.3': 'sha384',
  '1.2.840.10045.4.3.4': 'sha512',
  '1.2.840.113549.1.1.11': 'sha256',
  '1.2.840.113549.1.1.12': 'sha384',
  '1.2.840.113549.1.1.13': 'sha512',
  '1.3.101.112': undefined,
};

export interface Revocations {
  /** Whether the list of whoever issued this certificate (DER) names it. */
  isRevoked(certificate: Uint8Array): boolean;
  /** Whether anybody's list says when it will be followed by another, and the earliest of these times has come. */
  nextUpdate: number | undefined;
  /** how many certificates are revoked */
  size: number;
}

/** Every certificate of a PEM text, in order. @throws FieldError if there is none, or one cannot be read */
export function certificatesOf(field: string, text: string): X509Certificate[] {
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  if (blocks.length === 0) throw new FieldError(field, `${text.length} characters`, 'certificates in PEM');
  return blocks.map((block, i) => {
    try {
      return new X509Certificate(block);
    } catch {
      throw new FieldError(field, `certificate ${i + 1}, which cannot be read`, 'certificates in PEM');
    }
  });
}

const hex = (bytes: ArrayBuffer | Uint8Array): string => Buffer.from(bytes as Uint8Array).toString('hex');

/** A serial number is a number: zeros before it mean nothing. */
const serialOf = (bytes: ArrayBuffer): string => hex(bytes).replace(/^0+(?=.)/, '');

const find = (extensions: readonly Extension[] | undefined, id: string): ArrayBuffer | undefined =>
  extensions?.find(({ extnID }) => extnID === id)?.extnValue.buffer;

/** By whom something was issued: the name, DER, and the identifier of the key, if given; both hexadecimal. */
interface IssuedBy {
  name: string;
  keyId: string | undefined;
}

const sameIssuer = (a: IssuedBy, b: IssuedBy): boolean =>
  a.name === b.name && (a.keyId === undefined || b.keyId === undefined || a.keyId === b.keyId);

function authorityKeyOf(extensions: readonly Extension[] | undefined): string | undefined {
  const value = find(extensions, id_ce_authorityKeyIdentifier);
  const keyId = value && AsnParser.parse(value, AuthorityKeyIdentifier).keyIdentifier;
  return keyId && hex(keyId.buffer);
}

/** An authority as lists name it, and whether it may sign them (RFC 5280 §4.2.1.3). */
function authorityOf(x509: X509Certificate): IssuedBy & { x509: X509Certificate; signsLists: boolean } {
  const { tbsCertificate } = AsnParser.parse(x509.raw, Certificate);
  const keyId = find(tbsCertificate.extensions, id_ce_subjectKeyIdentifier);
  const usage = find(tbsCertificate.extensions, id_ce_keyUsage);
  return {
    x509,
    name: hex(AsnSerializer.serialize(tbsCertificate.subject)),
    keyId: keyId && hex(AsnParser.parse(keyId, SubjectKeyIdentifier).buffer),
    signsLists:
      x509.ca &&
      (usage === undefined || (AsnParser.parse(usage, KeyUsage).toNumber() & KeyUsageFlags.cRLSign) !== 0),
  };
}

/** Whether anything in a list changes what it means in a way that is not understood here (RFC 5280 §5.2). */
const unknownExtension = (list: CertificateList): string | undefined =>
  [
    ...(list.tbsCertList.crlExtensions ?? []),
    ...(list.tbsCertList.revokedCertificates ?? []).flatMap((each) => each.crlEntryExtensions ?? []),
  ].find(({ critical }) => critical)?.extnID;

/**
 * Reads lists of revoked certificates.
 * @param lists PEM, one list or several
 * @param authorities PEM of those who are believed; each list must be signed by one of them
 * @throws FieldError if there is no list, or one is unreadable, signed by nobody who is believed, or says something
 * critical that is not understood
 */
export function readRevocations(lists: string, authorities: string, field = 'crl'): Revocations {
  const believed = certificatesOf('authorities', authorities).map(authorityOf);
  const blocks = [...lists.matchAll(/-----BEGIN X509 CRL-----([^-]*)-----END X509 CRL-----/g)];
  if (blocks.length === 0) {
    throw new FieldError(
      field,
      `${lists.length} characters`,
      'a list of revoked certificates in PEM (X509 CRL)',
    );
  }
  let nextUpdate: number | undefined;
  const read = blocks.map(([, base64], i) => {
    const which = `list ${i + 1}`;
    let list: CertificateList;
    let issuedBy: IssuedBy;
    try {
      list = AsnParser.parse(Buffer.from(base64!, 'base64'), CertificateList);
      issuedBy = {
        name: hex(AsnSerializer.serialize(list.tbsCertList.issuer)),
        keyId: authorityKeyOf(list.tbsCertList.crlExtensions),
      };
    } catch {
      throw new FieldError(field, `${which}, which cannot be read`, 'a list as RFC 5280 has it');
    }
    const { tbsCertList } = list;
    const { algorithm } = list.signatureAlgorithm;
    if (!(algorithm in HASHES)) {
      throw new FieldError(
        field,
        `${which}, signed by algorithm ${algorithm}`,
        'ECDSA, RSA or Ed25519 with SHA-2',
      );
    }
    const candidates = believed.filter((each) => each.signsLists && sameIssuer(each, issuedBy));
    if (candidates.length === 0) {
      throw new FieldError(
        field,
        `${which}, which is none of an authority given`,
        'a list of one of the authorities',
      );
    }
    const raw = new Uint8Array(list.tbsCertListRaw!);
    const signature = new Uint8Array(list.signature);
    const holds = ({ x509 }: { x509: X509Certificate }): boolean => {
      try {
        return verify(HASHES[algorithm], raw, x509.publicKey, signature);
      } catch {
        // A key of another kind than the signature.
        return false;
      }
    };
    const signer = candidates.find(holds);
    if (!signer)
      throw new FieldError(
        field,
        `${which}, whose signature does not hold`,
        'a list as its authority signed it',
      );
    const unknown = unknownExtension(list);
    if (unknown !== undefined) {
      throw new FieldError(
        field,
        `${which} with a critical extension ${unknown}`,
        'a whole list of one authority',
      );
    }
    const next = tbsCertList.nextUpdate?.getTime().getTime();
    if (next !== undefined) nextUpdate = Math.min(nextUpdate ?? next, next);
    return {
      issuedBy: { name: issuedBy.name, keyId: signer.keyId },
      serials: new Set(
        (tbsCertList.revokedCertificates ?? []).map(({ userCertificate }) => serialOf(userCertificate)),
      ),
    };
  });
  return {
    nextUpdate,
    size: read.reduce((sum, { serials }) => sum + serials.size, 0),
    isRevoked(der) {
      const { tbsCertificate } = AsnParser.parse(der, Certificate);
      const issuedBy: IssuedBy = {
        name: hex(AsnSerializer.serialize(tbsCertificate.issuer)),
        keyId: authorityKeyOf(tbsCertificate.extensions),
      };
      const serial = serialOf(tbsCertificate.serialNumber);
      return read.some((each) => sameIssuer(each.issuedBy, issuedBy) && each.serials.has(serial));
    },
  };
}
