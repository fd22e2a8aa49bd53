"""Draws the synthetic benchmark from a seed.

random -> people, sizes -> film -> tables: who is seen where, as labels. draw -> canvas -> face, hair, pose, props,
wardrobe, body, scene -> portrait: one frame as a picture. build, scale and sheet write it all to disk.
"""
