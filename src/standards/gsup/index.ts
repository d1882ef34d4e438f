/**
 * GSUP, Osmocom's Generic Subscriber Update Protocol between serving networks and an HLR, and the IPA framing
 * that carries it (OsmoHLR user manual, "Generic Subscriber Update Protocol"; libosmocore gsup.h).
 */
export * from './ipa.ts';
export * from './elements.ts';
export * from './message.ts';
